// How much smaller something became.

/** "4.1 times": how often the part goes into the whole; a dash while nothing is there. */
export const times = (whole: number, part: number): string => (part > 0 ? `${(whole / part).toFixed(1)} times` : "—");

/** "86.3 %" of the whole that was not needed. */
export const percentSaved = (part: number, whole: number): string =>
  whole > 0 ? `${Math.max(0, (1 - part / whole) * 100).toFixed(1)} %` : "—";
