// The first visit: whoever has the set-up code becomes the administrator.
import { Button, PasswordInput, Text, TextInput } from "@mantine/core";
import { useMutation, useQueryClient, useSuspenseQuery } from "@tanstack/react-query";
import { Navigate, useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { claim } from "../api/access";
import { sessionQuery, setupQuery } from "../api/queries";
import { Outside } from "../components/Outside";
import { ProblemAlert } from "../components/Problem";

export function ClaimPage() {
  const setup = useSuspenseQuery(setupQuery).data;
  const queries = useQueryClient();
  const navigate = useNavigate();
  const [form, setForm] = useState({ code: "", email: "", name: "", password: "", group: "" });
  const shortest = setup.passwordCharsMin;
  const send = useMutation({
    mutationFn: () => claim(form),
    onSuccess: async (session) => {
      queries.setQueryData(sessionQuery.queryKey, session);
      queries.setQueryData(setupQuery.queryKey, { ...setup, claimed: true });
      await navigate({ to: "/" });
    },
  });
  // While the answer to this page's own claim is taken in, the page stays: it leads into the app itself.
  if (setup.claimed && !send.isPending && !send.isSuccess) return <Navigate to="/signin" search={{}} />;
  const field = (name: keyof typeof form) => ({
    value: form[name],
    onChange: (event: { currentTarget: { value: string } }) => {
      const { value } = event.currentTarget;
      setForm((old) => ({ ...old, [name]: value }));
    },
    required: true,
    withAsterisk: false,
  });
  return (
    <Outside
      title="Claim this appliance"
      lead="Nobody owns it yet. The set-up code proves that you can read its server: whoever has it becomes the administrator."
    >
      <form
        onSubmit={(event) => {
          event.preventDefault();
          send.mutate();
        }}
        style={{ display: "grid", gap: 14 }}
      >
        <TextInput
          label="Set-up code"
          description="Printed by holdfast up, and in the file setup.code of the data directory"
          autoComplete="off"
          autoFocus
          {...field("code")}
        />
        <TextInput label="Your name" autoComplete="name" {...field("name")} />
        <TextInput label="Your e-mail" type="email" autoComplete="username" {...field("email")} />
        <PasswordInput
          label="Password"
          description={`At least ${shortest} characters`}
          autoComplete="new-password"
          minLength={shortest}
          {...field("password")}
        />
        <TextInput
          label="First group"
          description="A team or customer: its people, agents and backups. Letters, digits, - _ ."
          autoComplete="off"
          {...field("group")}
        />
        <ProblemAlert error={send.error} />
        <Button type="submit" loading={send.isPending}>
          Make the administrator's account
        </Button>
      </form>
      <Text size="xs" className="hf-dim">
        Version {setup.version}. Mail, sign-up and the second factor are set afterwards under Settings.
      </Text>
    </Outside>
  );
}
