// The phases of a backup's start, from what daemon and agent say. One list, so that the wizard and the deployment's page agree.
import type { Backup } from "../api/queries";
import type { Phase } from "../components/Job";

/** Order of a first copy. The words of the programs are matched, never shown instead of these. */
const ORDER = ["sync", "load", "indexes", "catchUp", "follow"] as const;
type Step = (typeof ORDER)[number];

export function stepOf(backup: Pick<Backup, "state" | "phase">): Step {
  if (backup.state === "active") return "follow";
  if (backup.state === "catchingUp") return "catchUp";
  const phase = backup.phase;
  if (/index/.test(phase)) return "indexes";
  if (/load|new head|turn/.test(phase)) return "load";
  if (/oplog/.test(phase)) return "catchUp";
  return "sync";
}

export function startPhases(backup: Backup): Phase[] {
  const now = ORDER.indexOf(stepOf(backup));
  const agent = backup.agentReport;
  const failed = backup.state === "failed";
  const labels: Record<Step, string> = {
    sync: "Copy: the agent scans the collections",
    load: "Load: documents go into the head",
    indexes: "Indexes are built",
    catchUp: "Catch up: writes since the copy began are applied",
    follow: "Follow: every write arrives within seconds",
  };
  return ORDER.map((step, n) => {
    const state = n < now ? "done" : n > now ? "waiting" : failed ? "failed" : step === "follow" ? "done" : "running";
    const phase: Phase = { label: labels[step], state };
    if (n === now && step !== "follow") {
      phase.detail = [backup.phase, step === "sync" && agent?.member ? `reads from ${agent.member}` : ""]
        .filter(Boolean)
        .join(" · ");
      phase.progress = step === "sync" ? (agent?.progress ?? backup.progress) : backup.progress;
    }
    return phase;
  });
}
