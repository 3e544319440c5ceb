// How fast work goes and how long it may still take, from what was seen of it. The range is honest: it spans what the last samples said.

export interface Sample {
  /** Seconds, a monotonic clock. */
  at: number;
  done: number;
}

export interface Estimate {
  /** Units a second. */
  perSecond: number;
  /** Seconds left, from the fastest and the slowest half of the samples; null while the whole is unknown. */
  left: [number, number] | null;
}

/** Samples kept, in seconds. */
const WINDOW_SECONDS = 60;

/** Adds a sample; drops those that are too old, and all when the work began anew. */
export function addSample(samples: Sample[], next: Sample): Sample[] {
  const last = samples.at(-1);
  if (last && next.done < last.done) return [next];
  if (last && next.at - last.at < 0.2) return samples;
  return [...samples.filter((s) => next.at - s.at <= WINDOW_SECONDS), next];
}

/** None before three samples over two seconds, or while nothing moves. */
export function estimate(samples: Sample[], total: number): Estimate | null {
  const first = samples[0];
  const last = samples.at(-1);
  if (!first || !last || samples.length < 3 || last.at - first.at < 2 || last.done <= first.done) return null;
  const middle = samples[Math.floor(samples.length / 2)]!;
  const perSecond = (last.done - first.done) / (last.at - first.at);
  if (total <= last.done) return { perSecond, left: null };
  const halves = [
    (middle.done - first.done) / Math.max(middle.at - first.at, 0.1),
    (last.done - middle.done) / Math.max(last.at - middle.at, 0.1),
    perSecond,
  ].filter((rate) => rate > 0);
  const rest = total - last.done;
  return { perSecond, left: [rest / Math.max(...halves), rest / Math.min(...halves)] };
}
