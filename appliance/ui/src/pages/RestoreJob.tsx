// One restore: how far it is, then its link. The address survives closing the tab; the link does not, as the server keeps only its hash.
import { Button, Group, Stack, Text, Title } from "@mantine/core";
import { useQueryClient, useSuspenseQuery } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import { useState } from "react";
import { client, data } from "../api/client";
import { restoreQuery, type Restore } from "../api/queries";
import { useMay } from "../app/session";
import { Confirm } from "../components/Confirm";
import { CopyId, CopyLine } from "../components/CopyLine";
import { Job, type Phase } from "../components/Job";
import { Link } from "../components/Link";
import { Mark, type Tone } from "../components/Mark";
import { Page } from "../components/Page";
import { Time } from "../components/Time";
import { bytes, counted, sentence, shellWord } from "../lib/format";
import { DeliveryPanel } from "./Delivery";
import { Fact } from "./Deployment";
import { linkOf } from "./links";

const STATES: Record<string, { tone: Tone; word: string }> = {
  queued: { tone: "grey", word: "Waiting for the daemon" },
  running: { tone: "grey", word: "Being prepared" },
  ready: { tone: "ring", word: "Ready" },
  failed: { tone: "red", word: "Failed" },
  expired: { tone: "off", word: "Expired" },
  revoked: { tone: "off", word: "Link taken away" },
};
export const restoreState = (state: string) => STATES[state] ?? { tone: "grey" as Tone, word: state };

function phases(restore: Restore): Phase[] {
  const order = ["queued", "running", "ready"];
  const now = restore.state === "failed" ? 1 : restore.state === "expired" ? 2 : order.indexOf(restore.state);
  const labels = [
    "Asked for",
    restore.phase ? `Prepare: ${restore.phase}` : "Prepare: snapshot and replay",
    "Ready to download",
  ];
  return labels.map((label, n) => ({
    label,
    state:
      n < now || (n === 2 && now === 2)
        ? "done"
        : n > now
          ? "waiting"
          : restore.state === "failed"
            ? "failed"
            : "running",
    progress: n === 1 ? restore.progress : null,
  }));
}

export function RestoreJobPage() {
  const { group, restore: id } = useParams({ from: "/app/g/$group/restores/$restore" });
  const restore = useSuspenseQuery(restoreQuery(id)).data;
  const link = linkOf(id);
  const { tone, word } = restoreState(restore.revoked ? "revoked" : restore.state);
  const may = useMay(group);
  const queries = useQueryClient();
  const [revoking, setRevoking] = useState(false);
  const open = ["queued", "running", "ready"].includes(restore.state);
  const ready = restore.state === "ready";
  const resumable = restore.format !== "tar.gz";
  const curl = `curl --fail --location ${resumable ? "--continue-at - " : ""}--output ${shellWord(restore.name)} ${shellWord(link ?? "LINK")}`;
  const unpack =
    restore.format === "tar"
      ? "tar -x"
      : restore.format === "tar.gz"
        ? "tar -xz"
        : "tar --use-compress-program=unzstd -x";
  return (
    <Page
      title={restore.name}
      lead={
        <>
          Restore asked for <Time at={restore.created} /> · id <CopyId id={restore.id} /> ·{" "}
          <Link to="/g/$group/restores" params={{ group }}>
            all restores
          </Link>
        </>
      }
    >
      <section className="hf-banner" data-tone={tone === "red" ? "red" : undefined} aria-live="polite">
        <Text fw={600} size="lg">
          <Mark tone={tone}>{word}</Mark>
        </Text>
        <Text size="sm" mt={4}>
          {restore.state === "failed"
            ? sentence(restore.error ?? "the daemon gave no reason")
            : ready
              ? "The copy is frozen and can be downloaded."
              : restore.state === "expired"
                ? "Its link no longer works. Ask for it again: preparing the same second costs little."
                : sentence(restore.phase || "the daemon takes it up within seconds")}
        </Text>
      </section>
      <section className="hf-panel">
        <Job phases={phases(restore)} error={restore.state === "ready" ? null : restore.error} />
      </section>
      {ready ? (
        <section className="hf-panel">
          <Title order={2} mb="sm">
            Download
          </Title>
          {link ? (
            <Stack gap="sm">
              <Group>
                <a className="hf-link" href={link} download rel="noreferrer" data-testid="download">
                  Download {restore.name}
                  {restore.bytes ? ` (${bytes(restore.bytes)})` : ""}
                </a>
              </Group>
              <CopyLine text={link} label="Link" />
              <CopyLine text={curl} label="curl line" />
              <CopyLine
                text={`mkdir restored && ${unpack} -C restored -f ${shellWord(restore.name)}`}
                label="Line that unpacks it"
              />
              <Text size="xs" className="hf-dim">
                Whoever has the link can download. It is shown in this tab only: the appliance keeps no more than its
                hash. {link.split("/").pop()}
                .sums at the same place lists the BLAKE3 sum of every file. The appliance's own certificate may be
                unknown to curl: add --cacert.
              </Text>
            </Stack>
          ) : (
            <Text size="sm">
              The link was shown when the restore was made and is kept nowhere. Lost it? Ask for the same restore again.
            </Text>
          )}
        </section>
      ) : null}
      <DeliveryPanel group={group} restore={restore} />
      <section className="hf-panel">
        <dl className="hf-facts">
          <Fact name="State at">
            <Time at={restore.at} />
          </Fact>
          <Fact name="Asked for by">{restore.createdBy}</Fact>
          <Fact name="Why">{restore.reason || "nothing was said"}</Fact>
          {restore.daemon ? (
            <Fact name="Made by">
              {restore.daemon}
              {restore.attempt > 1 ? `, attempt ${restore.attempt}` : ""}
            </Fact>
          ) : null}
          {restore.revoked ? (
            <Fact name="Link taken away">
              by {restore.revoked.by}, <Time at={restore.revoked.at} />
            </Fact>
          ) : null}
          <Fact name="Format">{restore.format}</Fact>
          <Fact name="Size">{restore.bytes ? bytes(restore.bytes) : "known when it is ready"}</Fact>
          <Fact name="Sent so far">{bytes(restore.bytesSent)}</Fact>
          <Fact name="Link">
            {restore.usesSpent} of {counted(restore.uses, "download")} used
          </Fact>
          <Fact name="Link works until">
            <Time at={restore.expires} />
          </Fact>
        </dl>
        {open && may.backup ? (
          <Group mt="md">
            <Button variant="default" onClick={() => setRevoking(true)}>
              {ready ? "Take the link away…" : "Call off this restore…"}
            </Button>
          </Group>
        ) : null}
      </section>
      <Confirm
        opened={revoking}
        title={ready ? "Take the link away" : "Call off this restore"}
        button={ready ? "Take the link away" : "Call it off"}
        onClose={() => setRevoking(false)}
        onConfirm={async () => {
          await data(client.DELETE("/restores/{restore}/link", { params: { path: { restore: id } } }));
          await queries.invalidateQueries({ queryKey: ["restore", id] });
          await queries.invalidateQueries({ queryKey: ["group", group, "restores"] });
        }}
      >
        Whoever has the link can begin no further download; a download that is under way is sent to its end. What was
        made for this restore alone goes to the trash. This cannot be undone, but the same restore can be asked for
        again, with a new link. Snapshots and the deployment are not touched.
      </Confirm>
    </Page>
  );
}
