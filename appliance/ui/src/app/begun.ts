// What a form began with: what others change meanwhile does not move under the hands of whoever fills it in.
//
// The form sends the revision that it began with; when someone was faster the server says so, and `again` shows what is there now.
import { useQuery, useQueryClient, type QueryKey } from "@tanstack/react-query";
import { useState } from "react";

interface Begun<T> {
  /** What was there when the form began; undefined until it is read. */
  begun: T | undefined;
  /** Key of the form: with another it begins anew. */
  round: number;
  /** Begins anew with what is there now. */
  again: () => Promise<void>;
  error: Error | null;
}

export function useBegun<T>(queryKey: QueryKey, read: () => Promise<T>): Begun<T> {
  const queries = useQueryClient();
  // What another page read a while ago is not what this form begins with.
  const query = { queryKey, queryFn: read, staleTime: 0 };
  const { data, error, isFetchedAfterMount } = useQuery(query);
  const [state, setState] = useState<{ begun: T | undefined; round: number }>({ begun: undefined, round: 0 });
  if (state.begun === undefined && data !== undefined && isFetchedAfterMount) setState({ ...state, begun: data });
  const again = async () => {
    const fresh = await queries.fetchQuery(query);
    setState(({ round }) => ({ begun: fresh, round: round + 1 }));
  };
  return { begun: state.begun, round: state.round, again, error };
}
