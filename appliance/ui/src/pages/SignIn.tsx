// Signing in: e-mail and password, then the second factor where there is one. Says nothing about which of the two was wrong.
import { Alert, Button, PasswordInput, Text, TextInput } from "@mantine/core";
import { useMutation, useQueryClient, useSuspenseQuery } from "@tanstack/react-query";
import { useRouter, useSearch } from "@tanstack/react-router";
import { useState } from "react";
import { askReset, signIn } from "../api/access";
import { Problem } from "../api/client";
import { sessionQuery, setupQuery } from "../api/queries";
import { Link } from "../components/Link";
import { Outside } from "../components/Outside";
import { ProblemAlert } from "../components/Problem";
import { goToProvider } from "./provider";

export function SignInPage() {
  const { next, ended } = useSearch({ from: "/signin" });
  const setup = useSuspenseQuery(setupQuery).data;
  const queries = useQueryClient();
  const router = useRouter();
  const [email, setEmail] = useState("");
  const [password, setPassword] = useState("");
  const [totp, setTotp] = useState("");
  const [second, setSecond] = useState(false);
  const sign = useMutation({
    mutationFn: () => signIn({ email, password, ...(second ? { totp } : {}) }),
    onSuccess: (session) => {
      queries.setQueryData(sessionQuery.queryKey, session);
      router.history.push(next ?? "/");
    },
    onError: (error) => {
      if (error instanceof Problem && error.code === "totpRequired") setSecond(true);
    },
  });
  const provider = useMutation({ mutationFn: () => goToProvider(next, false) });
  const reset = useMutation({ mutationFn: () => askReset(email) });
  const asksSecond = sign.error instanceof Problem && sign.error.code === "totpRequired";
  return (
    <Outside title="Sign in" lead={`Version ${setup.version}`}>
      {ended && !sign.isError ? (
        <Alert color="gray" variant="outline" title="Your session ended">
          Sign in again: you come back to the page where you were.
        </Alert>
      ) : null}
      {setup.oidc ? (
        <>
          <Button variant="default" loading={provider.isPending} onClick={() => provider.mutate()}>
            Sign in with {setup.oidc}
          </Button>
          <ProblemAlert error={provider.error} />
        </>
      ) : null}
      <form
        onSubmit={(event) => {
          event.preventDefault();
          sign.mutate();
        }}
        style={{ display: "grid", gap: 14 }}
      >
        <TextInput
          label={setup.ldap ? "E-mail, or your name in the directory" : "E-mail"}
          type={setup.ldap ? "text" : "email"}
          autoComplete="username"
          value={email}
          onChange={(event) => setEmail(event.currentTarget.value)}
          required
          withAsterisk={false}
          autoFocus
        />
        <PasswordInput
          label="Password"
          autoComplete="current-password"
          value={password}
          onChange={(event) => setPassword(event.currentTarget.value)}
          required
          withAsterisk={false}
        />
        {second ? (
          <TextInput
            label="Code of your second factor, or a recovery code"
            autoComplete="one-time-code"
            value={totp}
            onChange={(event) => setTotp(event.currentTarget.value)}
            autoFocus
          />
        ) : null}
        {asksSecond ? null : <ProblemAlert error={sign.error} />}
        <Button type="submit" loading={sign.isPending}>
          Sign in
        </Button>
      </form>
      {reset.data ? (
        <Text size="sm" role="status">
          {reset.data.detail}
        </Text>
      ) : (
        <Text size="sm">
          <Button
            variant="transparent"
            size="compact-sm"
            p={0}
            onClick={() => reset.mutate()}
            disabled={!email}
            loading={reset.isPending}
          >
            Forgot the password?
          </Button>{" "}
          <span className="hf-dim">{email ? "A link goes to your mailbox." : "Type your e-mail first."}</span>
        </Text>
      )}
      <ProblemAlert error={reset.error} />
      {setup.signUp === "open" ? (
        <Text size="sm">
          New here? <Link to="/sign-up">Make an account</Link>
        </Text>
      ) : null}
    </Outside>
  );
}
