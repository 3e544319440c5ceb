// The certificate that browsers see: uploaded with its key, its end shown, taken away again. Agents never see it.
import { Button, Group, Stack, Text, Textarea, Title } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { removeTls, setTls, tlsQuery } from "../api/operations";
import { useMay } from "../app/session";
import { Confirm } from "../components/Confirm";
import { Mark } from "../components/Mark";
import { ProblemAlert, Waiting } from "../components/Problem";
import { say } from "../components/said";
import { Time } from "../components/Time";
import { counted } from "../lib/format";
import { Fact } from "./Deployment";

export function TlsSettings() {
  const may = useMay(undefined);
  const queries = useQueryClient();
  const tls = useQuery(tlsQuery);
  const [chain, setChain] = useState("");
  const [key, setKey] = useState("");
  const [removing, setRemoving] = useState(false);
  const renew = () => queries.invalidateQueries({ queryKey: ["settings", "tls"] });
  const upload = useMutation({
    mutationFn: () => setTls({ chain, key }),
    onSuccess: async () => {
      setChain("");
      setKey("");
      say("Taken. Every instance shows it within seconds; load this page anew to see it.");
      await renew();
    },
  });
  const shown = tls.data?.certificate;
  return (
    <section className="hf-panel">
      <Title order={2} mb="sm">
        Certificate for browsers
      </Title>
      <ProblemAlert error={tls.error} />
      {tls.isPending ? <Waiting what="Reading the certificate" /> : null}
      <Stack>
        {shown ? (
          <>
            {shown.daysLeft < 0 ? (
              <Mark tone="red">It ran out: browsers see the appliance&apos;s own certificate</Mark>
            ) : shown.renew ? (
              <Mark tone="amber">Upload the next one: {counted(shown.daysLeft, "day")} left</Mark>
            ) : (
              <Mark tone="ring">Shown to browsers, {counted(shown.daysLeft, "day")} left</Mark>
            )}
            <dl className="hf-facts">
              <Fact name="For">{shown.names.join(", ")}</Fact>
              <Fact name="Issued by">{shown.issuer}</Fact>
              <Fact name="Valid to">
                <Time at={shown.notAfter} />
              </Fact>
              <Fact name="Uploaded">
                <Time at={shown.uploadedAt} /> by {shown.uploadedBy}
              </Fact>
            </dl>
            {shown.coversPublicUrl ? null : (
              <Text size="sm">
                <Mark tone="amber">Not for {tls.data?.publicHost}</Mark> The public URL names a host that is not in the
                certificate: browsers that use that URL see the appliance&apos;s own.
              </Text>
            )}
          </>
        ) : tls.data ? (
          <Text size="sm" maw="80ch">
            Browsers see a certificate of the appliance&apos;s own CA, which they do not know. Upload one for the host
            name that people type, with its key; agents go on seeing the appliance&apos;s own.
          </Text>
        ) : null}
        {may.owner ? (
          <form
            onSubmit={(event) => {
              event.preventDefault();
              upload.mutate();
            }}
          >
            <Stack>
              <Textarea
                label="Certificates"
                description="PEM: its own first, then those of the authorities between"
                placeholder="-----BEGIN CERTIFICATE-----"
                rows={4}
                required
                value={chain}
                onChange={(event) => setChain(event.currentTarget.value)}
              />
              <Textarea
                label="Private key"
                description="PEM, without a password. Stored sealed, never shown again"
                placeholder="-----BEGIN PRIVATE KEY-----"
                rows={4}
                required
                autoComplete="off"
                spellCheck={false}
                value={key}
                onChange={(event) => setKey(event.currentTarget.value)}
              />
              <ProblemAlert error={upload.error} />
              <Group>
                <Button type="submit" loading={upload.isPending}>
                  {shown ? "Replace it" : "Upload it"}
                </Button>
                {shown ? (
                  <Button variant="default" onClick={() => setRemoving(true)}>
                    Take it away…
                  </Button>
                ) : null}
              </Group>
            </Stack>
          </form>
        ) : null}
      </Stack>
      <Confirm
        opened={removing}
        title="Take the certificate away"
        button="Take it away"
        onClose={() => setRemoving(false)}
        onConfirm={async () => {
          await removeTls();
          await renew();
        }}
      >
        Browsers see the appliance&apos;s own certificate again, and warn. The key is deleted here: to undo this, upload
        both anew.
      </Confirm>
    </section>
  );
}
