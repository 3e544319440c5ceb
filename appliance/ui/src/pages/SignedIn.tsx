// Where the sign-in provider sends the browser back to. The session's cookie can only be set by a request of this page, so it posts what
// stands in its address; the address is left at once, since the code in it is a secret for a moment.
import { Button, Text, TextInput } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useRouter } from "@tanstack/react-router";
import { useEffect, useRef, useState } from "react";
import { finishOidc, sendSignInCode, type Session } from "../api/access";
import { sessionQuery } from "../api/queries";
import { Link } from "../components/Link";
import { Outside } from "../components/Outside";
import { ProblemAlert, Waiting } from "../components/Problem";
import { takeNext } from "./provider";

export function SignedInPage() {
  const queries = useQueryClient();
  const router = useRouter();
  const [token, setToken] = useState<string | null>(null);
  const [totp, setTotp] = useState("");
  const begun = useRef(false);
  const enter = (session: Session) => {
    queries.setQueryData(sessionQuery.queryKey, session);
    router.history.replace(takeNext());
  };
  const finish = useMutation({
    mutationFn: finishOidc,
    onSuccess: (answer) => {
      if ("token" in answer) setToken(answer.token);
      else enter(answer);
    },
  });
  const code = useMutation({
    mutationFn: () => sendSignInCode({ token: token ?? "", totp }),
    onSuccess: enter,
  });
  useEffect(() => {
    if (begun.current) return;
    begun.current = true;
    const said = new URLSearchParams(window.location.search);
    window.history.replaceState(window.history.state, "", window.location.pathname);
    finish.mutate({
      state: said.get("state") ?? "",
      code: said.get("code"),
      iss: said.get("iss"),
      error: said.get("error"),
    });
  }, [finish]);
  return (
    <Outside title="Signing in">
      {finish.isPending || finish.isIdle ? <Waiting what="Asking your provider who you are" /> : null}
      <ProblemAlert error={finish.error} />
      {token ? (
        <form
          onSubmit={(event) => {
            event.preventDefault();
            code.mutate();
          }}
          style={{ display: "grid", gap: 14 }}
        >
          <TextInput
            label="Code of your second factor, or a recovery code"
            autoComplete="one-time-code"
            value={totp}
            onChange={(event) => setTotp(event.currentTarget.value)}
            autoFocus
          />
          <ProblemAlert error={code.error} />
          <Button type="submit" loading={code.isPending} disabled={!totp}>
            Sign in
          </Button>
        </form>
      ) : null}
      {finish.isError || code.isError ? (
        <Text size="sm">
          Nothing was changed. <Link to="/signin">Begin again</Link>
        </Text>
      ) : null}
    </Outside>
  );
}
