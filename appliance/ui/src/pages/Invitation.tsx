// Pages that a mailed link opens: an invitation, a sign-up to be confirmed, a password to be set.
import { Button, PasswordInput, Text, TextInput } from "@mantine/core";
import { useMutation, useQuery, useQueryClient, useSuspenseQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import {
  acceptInvitation,
  askSignUp,
  confirmReset,
  confirmSignUp,
  lookAtInvitation,
  roleLabel,
  signIn,
  signOut,
} from "../api/access";
import { Problem } from "../api/client";
import { sessionQuery, setupQuery } from "../api/queries";
import { Link } from "../components/Link";
import { Outside } from "../components/Outside";
import { ProblemAlert, Waiting } from "../components/Problem";
import { Time } from "../components/Time";
import { goToProvider } from "./provider";
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
  const facts = useQuery({ queryKey: ["invitation", token], queryFn: () => lookAtInvitation(token), retry: false });
  const session = useQuery({ ...sessionQuery, retry: false });
  const leave = useMutation({
    mutationFn: async () => {
      await signOut();
      await queries.resetQueries({ queryKey: sessionQuery.queryKey });
    },
  });
  const joined = async () => {
    queries.removeQueries({ queryKey: sessionQuery.queryKey });
    await navigate({ to: "/" });
  };
  const setup = useQuery(setupQuery);
  // Back here with the invitation, as the person whom the provider knows.
  const provider = useMutation({ mutationFn: () => goToProvider(`/invitation${window.location.hash}`, false) });
  const signedIn = session.isError ? undefined : session.data?.user.email;
  const invited = facts.data;
  return (
    <Outside title="An invitation">
      {facts.isPending || session.isPending ? <Waiting what="Reading the invitation" /> : null}
      <ProblemAlert error={facts.error} />
      {invited && !session.isPending ? (
        <>
          <Text size="sm">
            {invited.invitedBy} invites {invited.email} to the group <b>{invited.group}</b> as{" "}
            {invited.roles.map(roleLabel).join(", ").toLowerCase()}. It can be accepted until{" "}
            <Time at={invited.expires} />.
          </Text>
          {signedIn && signedIn !== invited.email ? (
            <>
              <Text size="sm">
                You are signed in as {signedIn}: the invitation is not for this account. Sign out to go on as{" "}
                {invited.email}; nothing is lost.
              </Text>
              <ProblemAlert error={leave.error} />
              <Button loading={leave.isPending} onClick={() => leave.mutate()}>
                Sign out and go on
              </Button>
            </>
          ) : signedIn ? (
            <JoinSignedIn token={token} group={invited.group} onJoined={joined} />
          ) : invited.accountExists ? (
            <JoinWithAccount token={token} group={invited.group} email={invited.email} onJoined={joined} />
          ) : (
            <JoinNew token={token} group={invited.group} onJoined={joined} />
          )}
          {!signedIn && setup.data?.oidc ? (
            <>
              <ProblemAlert error={provider.error} />
              <Button variant="default" loading={provider.isPending} onClick={() => provider.mutate()}>
                Or go on with {setup.data.oidc}
              </Button>
            </>
          ) : null}
        </>
      ) : null}
    </Outside>
  );
}

interface Joining {
  token: string;
  group: string;
  onJoined: () => Promise<void>;
}

/** The account of the invited address is signed in here: one click. */
function JoinSignedIn({ token, group, onJoined }: Joining) {
  const accept = useMutation({ mutationFn: () => acceptInvitation({ token }), onSuccess: onJoined });
  return (
    <>
      <ProblemAlert error={accept.error} />
      <Button loading={accept.isPending} onClick={() => accept.mutate()}>
        Join {group}
      </Button>
    </>
  );
}

/** There is an account of the invited address: sign in with it, and join. */
function JoinWithAccount({ token, group, email, onJoined }: Joining & { email: string }) {
  const queries = useQueryClient();
  const [form, field] = useForm({ password: "", totp: "" });
  const [second, setSecond] = useState(false);
  const join = useMutation({
    mutationFn: async () => {
      const session = await signIn({ email, password: form.password, ...(second ? { totp: form.totp } : {}) });
      try {
        await acceptInvitation({ token });
      } catch (error) {
        // Signed in all the same: from here it is one click.
        queries.setQueryData(sessionQuery.queryKey, session);
        throw error;
      }
    },
    onSuccess: onJoined,
    onError: (error) => {
      if (error instanceof Problem && error.code === "totpRequired") setSecond(true);
    },
  });
  const asksSecond = join.error instanceof Problem && join.error.code === "totpRequired";
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        join.mutate();
      }}
      style={{ display: "grid", gap: 14 }}
    >
      <TextInput label="E-mail" value={email} readOnly autoComplete="username" />
      <PasswordInput label="Your password" autoComplete="current-password" {...field("password")} />
      {second ? (
        <TextInput
          label="Code of your second factor, or a recovery code"
          autoComplete="one-time-code"
          autoFocus
          {...field("totp")}
        />
      ) : null}
      {asksSecond ? null : <ProblemAlert error={join.error} />}
      <Button type="submit" loading={join.isPending}>
        Sign in and join {group}
      </Button>
    </form>
  );
}

/** There is no account of the invited address yet: make it, and join. */
function JoinNew({ token, group, onJoined }: Joining) {
  const shortest = useSuspenseQuery(setupQuery).data.passwordCharsMin;
  const [form, field] = useForm({ name: "", password: "" });
  const accept = useMutation({ mutationFn: () => acceptInvitation({ token, ...form }), onSuccess: onJoined });
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        accept.mutate();
      }}
      style={{ display: "grid", gap: 14 }}
    >
      <TextInput label="Your name" autoComplete="name" {...field("name")} />
      <PasswordInput
        label="Choose a password"
        description={`At least ${shortest} characters`}
        autoComplete="new-password"
        {...field("password")}
      />
      <ProblemAlert error={accept.error} />
      <Button type="submit" loading={accept.isPending}>
        Join {group}
      </Button>
    </form>
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
          The password is set. Every session with the old one has ended, and your own API keys are revoked: make new
          ones in your account. <Link to="/signin">Sign in</Link>
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
