// Secrets of mailed links stand behind the # of the address: browsers send that part to no server.

/** The secret of the page's address. */
export const tokenOf = (hash: string): string => new URLSearchParams(hash.replace(/^#/, "")).get("token") ?? "";
