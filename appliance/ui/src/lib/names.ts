// What things are called when they have no name yet.

/** A deployment is called by its replica set, and before that is known by its first host. */
export const nameOf = (row: { rs?: string | null; hosts: string[] }): string =>
  row.rs ?? row.hosts[0] ?? "new deployment";
