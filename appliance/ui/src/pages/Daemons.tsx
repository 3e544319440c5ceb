// Daemons: the machines that keep heads. Their room, ports, labels and load; one can be emptied, and a head can be moved.
import { Button, Group, Modal, Select, Stack, TagsInput, Text, Title } from "@mantine/core";
import { useMutation, useQueryClient, useSuspenseQuery } from "@tanstack/react-query";
import type { ColumnDef } from "@tanstack/react-table";
import { useMemo, useState } from "react";
import { changeDaemon, moveHead, type Daemon } from "../api/operations";
import { daemonsQuery } from "../api/queries";
import { useNow } from "../app/now";
import { useMay } from "../app/session";
import { DataTable } from "../components/DataTable";
import { Link } from "../components/Link";
import { Mark } from "../components/Mark";
import { Page } from "../components/Page";
import { Empty, ProblemAlert } from "../components/Problem";
import { say } from "../components/said";
import { Time } from "../components/Time";
import { bytes, counted } from "../lib/format";
import { secondsOf } from "../lib/time";
import { Fact } from "./Deployment";

const SILENT_SECONDS_MAX = 60;
type Head = Daemon["headList"][number];

function State({ daemon }: { daemon: Daemon }) {
  const silent = useNow() - (secondsOf(daemon.lastSeen) ?? 0) > SILENT_SECONDS_MAX;
  if (silent) return <Mark tone="red">Silent</Mark>;
  if (!daemon.draining) return <Mark tone="ring">Runs</Mark>;
  return daemon.heads > 0 ? <Mark tone="grey">Is being emptied</Mark> : <Mark tone="off">Empty</Mark>;
}

export function DaemonsPage() {
  const daemons = useSuspenseQuery(daemonsQuery).data;
  const [chosen, setChosen] = useState<string | undefined>();
  const columns = useMemo<ColumnDef<Daemon>[]>(
    () => [
      { id: "name", header: "Name", accessorFn: (d) => d.name },
      {
        id: "state",
        header: "State",
        enableSorting: false,
        cell: ({ row: { original } }) => <State daemon={original} />,
      },
      { id: "heads", header: "Heads", meta: { right: true }, accessorFn: (d) => d.heads },
      {
        id: "free",
        header: "Free for heads",
        meta: { right: true },
        accessorFn: (d) => d.freeBytes,
        cell: ({ row: { original } }) => `${bytes(original.freeBytes)} of ${bytes(original.totalBytes)}`,
      },
      {
        id: "busy",
        header: "Processors busy",
        meta: { right: true },
        accessorFn: (d) => d.busyPercent ?? -1,
        cell: ({ row: { original } }) => busy(original),
      },
      {
        id: "seen",
        header: "Last contact",
        accessorFn: (d) => d.lastSeen,
        cell: ({ row: { original } }) => <Time at={original.lastSeen} ago />,
      },
      {
        id: "act",
        header: "",
        enableSorting: false,
        cell: ({ row: { original } }) => (
          <Button
            size="compact-xs"
            variant="default"
            aria-label={`Details of ${original.name}`}
            onClick={() => setChosen(original.id)}
          >
            Details
          </Button>
        ),
      },
    ],
    [],
  );
  const one = daemons.find((d) => d.id === chosen) ?? (daemons.length === 1 ? daemons[0] : undefined);
  return (
    <Page title="Daemons" lead="They keep a head of each replica set, take snapshots and make restores">
      {daemons.length ? (
        <DataTable rows={daemons} columns={columns} label="Daemons" rowId={(d) => d.id} chosen={one?.id} />
      ) : (
        <Empty title="No daemon runs">
          Without one nothing is applied and no snapshot is taken. Start <code>holdfast-daemon</code> with the
          configuration of this appliance; it appears here by itself.
        </Empty>
      )}
      {one ? <Details key={one.id} daemon={one} all={daemons} /> : null}
    </Page>
  );
}

const busy = (daemon: Daemon) =>
  daemon.busyPercent === null || daemon.busyPercent === undefined ? "unknown" : `${daemon.busyPercent} %`;

function Details({ daemon, all }: { daemon: Daemon; all: Daemon[] }) {
  const may = useMay(undefined);
  const queries = useQueryClient();
  const renew = () => queries.invalidateQueries({ queryKey: ["daemons"] });
  const [labels, setLabels] = useState(daemon.givenLabels);
  const [moving, setMoving] = useState<Head | null>(null);
  const others = all.filter((d) => d.id !== daemon.id && !d.draining);
  const own = daemon.labels.filter((label) => !daemon.givenLabels.includes(label));
  const drain = useMutation({
    mutationFn: (draining: boolean) => changeDaemon(daemon.id, { draining }),
    onSuccess: async (_, draining) => {
      say(draining ? `${daemon.name} takes no new backup; its heads move one after the other.` : "Taken back.");
      await renew();
    },
  });
  const label = useMutation({
    mutationFn: () => changeDaemon(daemon.id, { givenLabels: labels }),
    onSuccess: async () => {
      say("Saved. Backups that ask for these labels may go there from now on.");
      await renew();
    },
  });
  const columns = useMemo<ColumnDef<Head>[]>(
    () => [
      {
        id: "rs",
        header: "Backup",
        accessorFn: (h) => `${h.group}/${h.rs}`,
        cell: ({ row: { original: h } }) => (
          <Link to="/g/$group/backups/$rs" params={{ group: h.group, rs: h.rs }}>
            {h.group}/{h.rs}
          </Link>
        ),
      },
      { id: "state", header: "State", accessorFn: (h) => h.state },
      { id: "phase", header: "Does", accessorFn: (h) => h.phase || "—" },
      {
        id: "bytes",
        header: "On disk",
        meta: { right: true },
        accessorFn: (h) => h.bytes,
        cell: ({ row: { original } }) => bytes(original.bytes),
      },
      {
        id: "act",
        header: "",
        enableSorting: false,
        cell: ({ row: { original } }) =>
          original.movesTo ? (
            <Mark tone="grey">Moves to {original.movesTo}</Mark>
          ) : may.backup ? (
            <Button
              size="compact-xs"
              variant="default"
              aria-label={`Move the head of ${original.rs}`}
              onClick={() => setMoving(original)}
            >
              Move…
            </Button>
          ) : null,
      },
    ],
    [may.backup],
  );
  return (
    <section className="hf-panel" aria-label={`Daemon ${daemon.name}`}>
      <Stack>
        <Title order={2}>{daemon.name}</Title>
        <dl className="hf-facts">
          <Fact name="Heads take">{bytes(daemon.usedBytes)}</Fact>
          <Fact name="Free for more">{bytes(daemon.freeBytes)}</Fact>
          <Fact name="In all">{bytes(daemon.totalBytes)}</Fact>
          <Fact name="File system">{daemon.fileSystem ?? "not reported yet"}</Fact>
          <Fact name="Processors busy">{busy(daemon)}</Fact>
          <Fact name="Ports in use">{daemon.ports.join(", ") || "none"}</Fact>
          <Fact name="Version">{daemon.version}</Fact>
          <Fact name="Started">
            <Time at={daemon.started} />
          </Fact>
        </dl>
        {daemon.fileSystemAdvice ? (
          <Text size="sm" className="hf-dim">
            {daemon.fileSystemAdvice}
          </Text>
        ) : null}
        {daemon.headList.length ? (
          <DataTable
            rows={daemon.headList}
            columns={columns}
            label={`Heads of ${daemon.name}`}
            rowId={(h) => `${h.group}/${h.rs}`}
          />
        ) : (
          <Text size="sm">No head lives here.</Text>
        )}
        <TagsInput
          label="Labels that you give it"
          description={`Backups can ask for labels. It has by itself: ${own.join(", ") || "none"}`}
          value={labels}
          onChange={setLabels}
          disabled={!may.backup}
          clearable={false}
        />
        <ProblemAlert error={label.error ?? drain.error} />
        {daemon.draining ? (
          <div className="hf-banner" data-tone={daemon.drainFault ? "red" : undefined} role="status">
            <Text size="sm">
              {daemon.heads > 0
                ? `It is being emptied: ${counted(daemon.heads, "head")} still to move, one after the other. Each is built anew elsewhere from its last snapshot and what was written since; nothing is lost.`
                : "It is empty. You can end its process; or take the drain back, and it is used again."}
            </Text>
            {daemon.drainFault ? (
              <Text size="sm" mt={4}>
                <Mark tone="red">Cannot move</Mark> {daemon.drainFault}
              </Text>
            ) : null}
          </div>
        ) : null}
        {may.backup ? (
          <Group>
            <Button variant="default" loading={label.isPending} onClick={() => label.mutate()}>
              Save labels
            </Button>
            <Button variant="default" loading={drain.isPending} onClick={() => drain.mutate(!daemon.draining)}>
              {daemon.draining ? "Take the drain back" : `Empty ${daemon.name}`}
            </Button>
            {!daemon.draining ? (
              <Text size="xs" className="hf-dim">
                Emptied: it takes no new backup and its heads move to other daemons. It can be taken back.
              </Text>
            ) : null}
          </Group>
        ) : null}
      </Stack>
      {moving ? <Move head={moving} to={others} onClose={() => setMoving(null)} /> : null}
    </section>
  );
}

function Move({ head, to, onClose }: { head: Head; to: Daemon[]; onClose: () => void }) {
  const queries = useQueryClient();
  const [target, setTarget] = useState<string | null>(to[0]?.name ?? null);
  const move = useMutation({
    mutationFn: () => moveHead(head.group, head.rs, target ?? ""),
    onSuccess: async () => {
      say(`The head of ${head.rs} moves to ${target}.`);
      await queries.invalidateQueries({ queryKey: ["daemons"] });
      onClose();
    },
  });
  return (
    <Modal
      opened
      onClose={onClose}
      title={`Move the head of ${head.group}/${head.rs}`}
      centered
      closeButtonProps={{ "aria-label": "Close" }}
    >
      <Stack>
        {to.length ? (
          <>
            <Text size="sm">
              It is built anew there from the last snapshot and what was written since. Until it has caught up no new
              snapshot is taken; what can be restored stays so, and nothing is lost.
            </Text>
            <Select
              label="To"
              allowDeselect={false}
              value={target}
              onChange={setTarget}
              data={to.map((d) => ({ value: d.name, label: `${d.name}: ${bytes(d.freeBytes)} free` }))}
            />
          </>
        ) : (
          <Text size="sm">
            There is no other daemon that takes heads. Start one with the configuration of this appliance; it appears
            here by itself.
          </Text>
        )}
        <ProblemAlert error={move.error} />
        <Group justify="flex-end">
          <Button variant="default" onClick={onClose}>
            Leave it
          </Button>
          {to.length ? (
            <Button loading={move.isPending} disabled={!target} onClick={() => move.mutate()}>
              Move to {target}
            </Button>
          ) : null}
        </Group>
      </Stack>
    </Modal>
  );
}
