// How people reach the appliance: the URL in links that are mailed and shown.
import { Button, Group, Stack, Text, TextInput, Title } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import * as access from "../api/access";
import { useBegun } from "../app/begun";
import { ProblemAlert, Waiting } from "../components/Problem";
import { say } from "../components/said";

export function PublicUrl() {
  const { begun, round, again, error } = useBegun(["settings", "publicUrl"], access.getPublicUrl);
  if (!begun) return error ? <ProblemAlert error={error} /> : <Waiting what="Reading the public URL" />;
  return <Form key={round} saved={begun.value} revision={begun.revision} again={again} />;
}

interface Props {
  saved: access.PublicUrl;
  revision: number | undefined;
  again: () => Promise<void>;
}

function Form({ saved, revision, again }: Props) {
  const [url, setUrl] = useState(saved.url ?? "");
  const save = useMutation({
    mutationFn: () => access.setPublicUrl(url.trim() || null, revision),
    onSuccess: async () => {
      say("Saved. Links are made with it from now on.");
      await again();
    },
  });
  const here = window.location.origin;
  return (
    <section className="hf-panel">
      <Title order={2} mb="sm">
        Public URL
      </Title>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          save.mutate();
        }}
      >
        <Stack>
          <TextInput
            label="How people reach this appliance"
            description="In links of invitations, mails and sign-in by a provider. Agents go by the configuration file."
            placeholder={`${saved.configured}, as the configuration file says`}
            value={url}
            autoComplete="off"
            maw={520}
            onChange={(event) => setUrl(event.currentTarget.value)}
          />
          {here !== (url.trim().replace(/\/+$/, "") || saved.configured) ? (
            <Text size="sm" className="hf-dim">
              This page was reached by {here}.{" "}
              <Button size="compact-xs" variant="default" onClick={() => setUrl(here)}>
                Take that
              </Button>
            </Text>
          ) : null}
          <ProblemAlert error={save.error} reread={() => void again()} />
          <Group>
            <Button type="submit" loading={save.isPending} disabled={url.trim() === (saved.url ?? "")}>
              Save
            </Button>
          </Group>
        </Stack>
      </form>
    </section>
  );
}
