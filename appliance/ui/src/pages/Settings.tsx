// Settings of the appliance: who may make an account, second factor, sessions, the mail server with a test button.
import { Button, Group, NumberInput, PasswordInput, Select, SimpleGrid, Stack, TextInput, Title } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import * as access from "../api/access";
import { useMay, useSession } from "../app/session";
import { Page } from "../components/Page";
import { say } from "../components/said";
import { ProblemAlert, Waiting } from "../components/Problem";
import { TlsSettings } from "./TlsSettings";
import { SignInSettings } from "./SignInSettings";

export function SettingsPage() {
  const policy = useQuery({ queryKey: ["settings", "access"], queryFn: access.getAccess });
  const mail = useQuery({ queryKey: ["settings", "mail"], queryFn: access.getMail });
  const mayChange = useMay(undefined).over("settings:change");
  return (
    <Page
      title="Settings"
      lead={mayChange ? "Of the whole appliance" : "Of the whole appliance. Its owners alone change them."}
    >
      <ProblemAlert error={policy.error ?? mail.error} />
      <fieldset disabled={!mayChange} style={{ display: "contents" }}>
        {policy.data ? (
          <Policy saved={policy.data} />
        ) : policy.isPending ? (
          <Waiting what="Reading the settings" />
        ) : null}
        {mail.data ? <Mail saved={mail.data} /> : null}
        <TlsSettings />
        <SignInSettings />
      </fieldset>
    </Page>
  );
}

function Policy({ saved }: { saved: access.AccessSettings }) {
  const queries = useQueryClient();
  const [form, setForm] = useState(saved);
  const save = useMutation({
    mutationFn: () => access.setAccess(form),
    onSuccess: async () => {
      say("Saved. New sessions go by it.");
      await queries.invalidateQueries({ queryKey: ["settings"] });
    },
  });
  const number = (name: "passwordCharsMin" | "sessionIdleMinutes" | "sessionHours" | "verifiedMinutes") => ({
    value: form[name],
    onChange: (value: string | number) => setForm((old) => ({ ...old, [name]: Number(value) || 0 })),
  });
  return (
    <section className="hf-panel">
      <Title order={2} mb="sm">
        People and sessions
      </Title>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          save.mutate();
        }}
      >
        <Stack>
          <SimpleGrid cols={{ base: 1, sm: 2 }}>
            <Select
              label="Who may make an account"
              allowDeselect={false}
              value={form.signUp}
              onChange={(v) => v && setForm((old) => ({ ...old, signUp: v as typeof old.signUp }))}
              data={[
                { value: "open", label: "Anyone with a mailbox" },
                { value: "invitation", label: "Who is invited" },
                { value: "closed", label: "Nobody: user admins make accounts" },
              ]}
            />
            <Select
              label="Who needs a second factor"
              allowDeselect={false}
              value={form.totp}
              onChange={(v) => v && setForm((old) => ({ ...old, totp: v as typeof old.totp }))}
              data={[
                { value: "off", label: "Nobody can set one up" },
                { value: "optional", label: "Who wants" },
                { value: "globalRoles", label: "Who holds a global role" },
                { value: "all", label: "Everyone" },
              ]}
            />
            <NumberInput
              label="Shortest password"
              suffix=" characters"
              min={8}
              max={128}
              {...number("passwordCharsMin")}
            />
            <NumberInput
              label="A session ends when unused for"
              suffix=" min"
              min={5}
              max={10_080}
              {...number("sessionIdleMinutes")}
            />
            <NumberInput label="A session ends after" suffix=" h" min={1} max={720} {...number("sessionHours")} />
            <NumberInput
              label="Restores and deletions ask again after"
              suffix=" min"
              min={1}
              max={1440}
              {...number("verifiedMinutes")}
            />
          </SimpleGrid>
          <ProblemAlert error={save.error} />
          <Group>
            <Button type="submit" loading={save.isPending}>
              Save
            </Button>
          </Group>
        </Stack>
      </form>
    </section>
  );
}

function Mail({ saved }: { saved: access.MailSettings }) {
  const session = useSession();
  const queries = useQueryClient();
  const [form, setForm] = useState({
    host: saved.host,
    port: saved.port,
    security: saved.security,
    username: saved.username ?? "",
    password: "",
    from: saved.from,
  });
  const [to, setTo] = useState(session.user.email);
  const save = useMutation({
    mutationFn: () =>
      access.setMail({
        ...form,
        username: form.username || null,
        password: form.password || null,
        ca: saved.ca ?? null,
      }),
    onSuccess: async () => {
      say("Saved. Send a test to see that it works.");
      await queries.invalidateQueries({ queryKey: ["settings", "mail"] });
    },
  });
  const test = useMutation({
    mutationFn: () => access.testMail(to),
    onSuccess: () => say(`The mail server took a test mail to ${to}.`),
  });
  const text = (name: "host" | "username" | "password" | "from") => ({
    value: form[name],
    onChange: (event: { currentTarget: { value: string } }) => {
      const { value } = event.currentTarget;
      setForm((old) => ({ ...old, [name]: value }));
    },
  });
  return (
    <section className="hf-panel">
      <Title order={2} mb="sm">
        Mail server
      </Title>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          save.mutate();
        }}
      >
        <Stack>
          <SimpleGrid cols={{ base: 1, sm: 2 }}>
            <TextInput label="Host" description="Empty: no mail is sent, links are shown instead" {...text("host")} />
            <TextInput label="Sender" description="backup@example.com, or a name with it in < >" {...text("from")} />
            <NumberInput
              label="Port"
              min={1}
              max={65_535}
              value={form.port}
              onChange={(v) => setForm((old) => ({ ...old, port: Number(v) || 587 }))}
            />
            <Select
              label="Kept secret by"
              allowDeselect={false}
              value={form.security}
              onChange={(v) => v && setForm((old) => ({ ...old, security: v as typeof old.security }))}
              data={[
                { value: "startTls", label: "STARTTLS" },
                { value: "tls", label: "TLS from the start" },
                { value: "none", label: "Nothing: only on this machine" },
              ]}
            />
            <TextInput label="User name" autoComplete="off" {...text("username")} />
            <PasswordInput
              label="Password"
              placeholder={saved.passwordSet ? "as it is stored" : ""}
              autoComplete="new-password"
              {...text("password")}
            />
          </SimpleGrid>
          <ProblemAlert error={save.error} />
          <Group>
            <Button type="submit" loading={save.isPending}>
              Save
            </Button>
          </Group>
        </Stack>
      </form>
      {saved.host ? (
        <Group align="flex-end" mt="md">
          <TextInput label="Send a test to" type="email" value={to} onChange={(e) => setTo(e.currentTarget.value)} />
          <Button variant="default" loading={test.isPending} onClick={() => test.mutate()}>
            Send a test
          </Button>
          <ProblemAlert error={test.error} />
        </Group>
      ) : null}
    </section>
  );
}
