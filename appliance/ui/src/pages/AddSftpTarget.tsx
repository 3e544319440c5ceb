// Adds an SFTP target in two steps: where it is; then the host key that it shows, which someone compares. Nothing is sent before that.
import { Button, Checkbox, Group, NumberInput, SimpleGrid, Stack, Text, TextInput, Title } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { addTarget, lookAtServer } from "../api/sftp";
import { CopyLine } from "../components/CopyLine";
import { ProblemAlert } from "../components/Problem";
import { say } from "../components/said";

/** Kind of a host key, as it stands in the name of its file at the server: `ed25519`. */
export const keyKind = (line: string): string => {
  const kind = line.split(" ")[0] ?? "";
  if (kind.startsWith("ecdsa-")) return "ecdsa";
  return kind.replace(/^ssh-/, "") || "ed25519";
};

export function AddSftpTarget({ group, onClose }: { group: string; onClose: () => void }) {
  const queries = useQueryClient();
  const [form, setForm] = useState({ name: "", host: "", user: "", folder: "" });
  const [port, setPort] = useState(22);
  const [same, setSame] = useState(false);
  const look = useMutation({ mutationFn: () => lookAtServer(group, { host: form.host.trim(), port }) });
  const shown = look.data;
  const add = useMutation({
    mutationFn: () => {
      const { name, host, user, folder } = form;
      const at = { name: name.trim(), host: host.trim(), user: user.trim(), folder: folder.trim() };
      return addTarget(group, { ...at, port, hostKey: shown?.hostKey ?? "" });
    },
    onSuccess: async ({ name }) => {
      await queries.invalidateQueries({ queryKey: ["group", group, "sftp"] });
      say(`${name} was added. Test it once the public key is there.`);
      onClose();
    },
  });
  // What was looked at is one server: another one is looked at anew.
  const again = () => {
    look.reset();
    setSame(false);
  };
  const text = (field: keyof typeof form, server = false) => ({
    value: form[field],
    onChange: (event: { currentTarget: { value: string } }) => {
      const { value } = event.currentTarget;
      setForm((old) => ({ ...old, [field]: value }));
      if (server) again();
    },
  });
  return (
    <section className="hf-panel">
      <Title order={2} mb="sm">
        Add a target
      </Title>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (shown) add.mutate();
          else look.mutate();
        }}
      >
        <Stack>
          <SimpleGrid cols={{ base: 1, sm: 2 }}>
            <TextInput
              label="Name"
              description="Letters, digits, - _ . for the command line too"
              placeholder="vault"
              required
              withAsterisk={false}
              {...text("name")}
            />
            <TextInput
              label="User there"
              description="Whose authorized_keys has the public key below"
              placeholder="backup"
              required
              withAsterisk={false}
              {...text("user")}
            />
            <TextInput
              label="Host"
              placeholder="vault.example.org"
              required
              withAsterisk={false}
              {...text("host", true)}
            />
            <NumberInput
              label="Port of SSH"
              min={1}
              max={65_535}
              value={port}
              onChange={(v) => {
                setPort(Number(v) || 22);
                again();
              }}
            />
            <TextInput
              label="Folder"
              description="It must be there; empty: the user's home"
              placeholder="/srv/restores"
              {...text("folder")}
            />
          </SimpleGrid>
          <ProblemAlert error={look.error} />
          {shown ? (
            <Stack gap="xs">
              <Text size="sm">
                {form.host} shows this host key. Compare it with what the server itself prints: whoever stands between
                would show another one.
              </Text>
              <Text className="hf-mono" data-testid="fingerprint" style={{ overflowWrap: "anywhere" }}>
                {shown.fingerprint}
              </Text>
              <CopyLine
                text={`ssh-keygen -lf /etc/ssh/ssh_host_${keyKind(shown.hostKey)}_key.pub`}
                label="Line to run at the server"
              />
              <Checkbox
                label="The server prints the same fingerprint"
                checked={same}
                onChange={(event) => setSame(event.currentTarget.checked)}
              />
            </Stack>
          ) : null}
          <ProblemAlert error={add.error} />
          <Group>
            {shown ? (
              <Button type="submit" loading={add.isPending} disabled={!same}>
                Add {form.name || "it"}
              </Button>
            ) : (
              <Button type="submit" loading={look.isPending}>
                Look at its host key
              </Button>
            )}
            <Button variant="default" onClick={onClose}>
              Leave it
            </Button>
          </Group>
        </Stack>
      </form>
    </section>
  );
}
