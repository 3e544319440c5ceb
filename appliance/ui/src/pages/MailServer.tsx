// The mail server, with a test button.
import { Button, Group, NumberInput, PasswordInput, Select, SimpleGrid, Stack, TextInput, Title } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import * as access from "../api/access";
import { useBegun } from "../app/begun";
import { useSession } from "../app/session";
import { ProblemAlert, Waiting } from "../components/Problem";
import { say } from "../components/said";

export function MailServer() {
  const { begun, round, again, error } = useBegun(["settings", "mail"], access.getMail);
  if (!begun) return error ? <ProblemAlert error={error} /> : <Waiting what="Reading the mail server" />;
  return <Form key={round} saved={begun.value} revision={begun.revision} again={again} />;
}

interface Props {
  saved: access.MailSettings;
  revision: number | undefined;
  again: () => Promise<void>;
}

function Form({ saved, revision, again }: Props) {
  const session = useSession();
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
      access.setMail(
        { ...form, username: form.username || null, password: form.password || null, ca: saved.ca ?? null },
        revision,
      ),
    onSuccess: async () => {
      say("Saved. Send a test to see that it works.");
      await again();
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
          <ProblemAlert error={save.error} reread={() => void again()} />
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
