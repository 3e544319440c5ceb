// Pages that a mailed link opens: an invitation, a sign-up to be confirmed, a password to be set.
import { Button, PasswordInput, Text, TextInput } from "@mantine/core";
import { useMutation, useQuery, useQueryClient, useSuspenseQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { acceptInvitation, askSignUp, confirmReset, confirmSignUp, lookAtInvitation, roleLabel } from "../api/access";
import { sessionQuery, setupQuery } from "../api/queries";
import { Link } from "../components/Link";
import { Outside } from "../components/Outside";
import { ProblemAlert, Waiting } from "../components/Problem";
import { Time } from "../components/Time";
import { tokenOf } from "./token";

function useForm<T extends Record<string, string>>(initial: T) {
  const [form, setForm] = useState(initial);
  const field = (name: keyof T & string) => ({
    value: form[name],
    onChange: (event: { currentTarget: { value: string } }) => {
      const { value } = event.currentTarget;
      setForm((old) => ({ ...old, [name]: value }));
    },
    required: true,
    withAsterisk: false,
  });
  return [form, field] as const;
}

export function InvitationPage() {
  const [token] = useState(() => tokenOf(window.location.hash));
  const queries = useQueryClient();
  const navigate = useNavigate();
  const shortest = useSuspenseQuery(setupQuery).data.passwordCharsMin;
  const facts = useQuery({ queryKey: ["invitation", token], queryFn: () => lookAtInvitation(token), retry: false });
  const [form, field] = useForm({ name: "", password: "" });
  const accept = useMutation({
    mutationFn: () =>
      acceptInvitation({ token, password: form.password, name: facts.data?.accountExists ? null : form.name }),
    onSuccess: async () => {
      queries.removeQueries({ queryKey: sessionQuery.queryKey });
      await navigate({ to: "/" });
    },
  });
  return (
    <Outside title="An invitation">
      {facts.isPending ? <Waiting what="Reading the invitation" /> : null}
      <ProblemAlert error={facts.error} />
      {facts.data ? (
        <>
          <Text size="sm">
            {facts.data.invitedBy} invites {facts.data.email} to the group <b>{facts.data.group}</b> as{" "}
            {facts.data.roles.map(roleLabel).join(", ").toLowerCase()}. It can be accepted until{" "}
            <Time at={facts.data.expires} />.
          </Text>
          <form
            onSubmit={(event) => {
              event.preventDefault();
              accept.mutate();
            }}
            style={{ display: "grid", gap: 14 }}
          >
            {facts.data.accountExists ? null : <TextInput label="Your name" autoComplete="name" {...field("name")} />}
            <PasswordInput
              label={facts.data.accountExists ? "Your password" : "Choose a password"}
              description={facts.data.accountExists ? undefined : `At least ${shortest} characters`}
              autoComplete={facts.data.accountExists ? "current-password" : "new-password"}
              {...field("password")}
            />
            <ProblemAlert error={accept.error} />
            <Button type="submit" loading={accept.isPending}>
              Join {facts.data.group}
            </Button>
          </form>
        </>
      ) : null}
    </Outside>
  );
}

export function ResetPage() {
  const [token] = useState(() => tokenOf(window.location.hash));
  const shortest = useSuspenseQuery(setupQuery).data.passwordCharsMin;
  const [form, field] = useForm({ password: "" });
  const reset = useMutation({ mutationFn: () => confirmReset({ token, password: form.password }) });
  return (
    <Outside title="Set a password">
      {reset.isSuccess ? (
        <Text size="sm">
          The password is set, and every session with the old one has ended. <Link to="/signin">Sign in</Link>
        </Text>
      ) : (
        <form
          onSubmit={(event) => {
            event.preventDefault();
            reset.mutate();
          }}
          style={{ display: "grid", gap: 14 }}
        >
          <PasswordInput
            label="New password"
            description={`At least ${shortest} characters`}
            autoComplete="new-password"
            autoFocus
            {...field("password")}
          />
          <ProblemAlert error={reset.error} />
          <Button type="submit" loading={reset.isPending}>
            Set the password
          </Button>
        </form>
      )}
    </Outside>
  );
}

export function SignUpPage() {
  const [token] = useState(() => tokenOf(window.location.hash));
  const queries = useQueryClient();
  const navigate = useNavigate();
  const setup = useSuspenseQuery(setupQuery).data;
  const [form, field] = useForm({ email: "", name: "", password: "" });
  const ask = useMutation({ mutationFn: () => askSignUp({ email: form.email, name: form.name }) });
  const confirm = useMutation({
    mutationFn: () => confirmSignUp({ token, password: form.password }),
    onSuccess: async (session) => {
      queries.setQueryData(sessionQuery.queryKey, session);
      await navigate({ to: "/" });
    },
  });
  return (
    <Outside title="Make an account">
      {token ? (
        <form
          onSubmit={(event) => {
            event.preventDefault();
            confirm.mutate();
          }}
          style={{ display: "grid", gap: 14 }}
        >
          <PasswordInput
            label="Choose a password"
            description={`At least ${setup.passwordCharsMin} characters`}
            autoComplete="new-password"
            {...field("password")}
          />
          <ProblemAlert error={confirm.error} />
          <Button type="submit" loading={confirm.isPending}>
            Make the account
          </Button>
        </form>
      ) : ask.data ? (
        <Text size="sm" role="status">
          {ask.data.detail}
        </Text>
      ) : (
        <form
          onSubmit={(event) => {
            event.preventDefault();
            ask.mutate();
          }}
          style={{ display: "grid", gap: 14 }}
        >
          <TextInput label="Your name" autoComplete="name" {...field("name")} />
          <TextInput label="E-mail" type="email" autoComplete="username" {...field("email")} />
          <ProblemAlert error={ask.error} />
          <Button type="submit" loading={ask.isPending}>
            Send me a link
          </Button>
        </form>
      )}
    </Outside>
  );
}
