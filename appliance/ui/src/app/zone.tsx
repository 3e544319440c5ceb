// In which zone times are shown: the viewer's own, or UTC. Kept in this browser.
import { createContext, useContext, useMemo, useState, type ReactNode } from "react";
import { browserZone } from "../lib/time";

interface Zone {
  zone: string;
  isUtc: boolean;
  setUtc: (utc: boolean) => void;
}

const KEY = "holdfast-zone";
const Context = createContext<Zone>({ zone: "UTC", isUtc: true, setUtc: () => undefined });

export function ZoneProvider({ children }: { children: ReactNode }) {
  const [isUtc, set] = useState(() => localStorage.getItem(KEY) === "utc");
  const value = useMemo<Zone>(
    () => ({
      zone: isUtc ? "UTC" : browserZone(),
      isUtc,
      setUtc: (utc) => {
        localStorage.setItem(KEY, utc ? "utc" : "local");
        set(utc);
      },
    }),
    [isUtc],
  );
  return <Context value={value}>{children}</Context>;
}

export const useZone = () => useContext(Context);
