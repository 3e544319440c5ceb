// The blockstore: what is stored, shared, reclaimable and verified; the work on it, its stores, and the keys of groups that encrypt.
import { Tabs, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { blockstoreQuery, type Blockstore } from "../api/appliance";
import { Mark } from "../components/Mark";
import { Page } from "../components/Page";
import { ProblemAlert, Waiting } from "../components/Problem";
import { Time } from "../components/Time";
import { bytes, count, counted } from "../lib/format";
import { percentSaved, times } from "../lib/ratio";
import { BlockstoreHistory } from "./BlockstoreHistory";
import { BlockstoreWork } from "./BlockstoreWork";
import { Fact } from "./Deployment";
import { GroupKeys } from "./GroupKeys";
import { PayloadStores } from "./PayloadStores";
import { Verification } from "./Verification";

export const BLOCKSTORE_TABS = ["numbers", "history", "work", "stores", "verification", "keys"] as const;

export function BlockstorePage() {
  const { tab = "numbers" } = useSearch({ from: "/app/admin/blockstore" });
  const navigate = useNavigate();
  const store = useQuery(blockstoreQuery);
  const go = (value: string | null) =>
    void navigate({ to: "/admin/blockstore", search: { tab: BLOCKSTORE_TABS.find((t) => t === value) } });
  return (
    <Page title="Blockstore" lead="Every different block of all snapshots, once">
      <ProblemAlert error={store.error} />
      {store.data?.damaged.length ? (
        <div className="hf-banner" data-tone="red" role="status">
          <Mark tone="red">{counted(store.data.damaged.length, "snapshot")} cannot be restored whole</Mark>
          <Text size="sm" mt={4}>
            The verification names them and their files. A repair is tried by itself with the next equal block.
          </Text>
        </div>
      ) : null}
      <Tabs value={tab} onChange={go} keepMounted={false}>
        <Tabs.List>
          <Tabs.Tab value="numbers">Numbers</Tabs.Tab>
          <Tabs.Tab value="history">Over time</Tabs.Tab>
          <Tabs.Tab value="work">Work</Tabs.Tab>
          <Tabs.Tab value="stores">Stores</Tabs.Tab>
          <Tabs.Tab value="verification">Verification</Tabs.Tab>
          <Tabs.Tab value="keys">Keys</Tabs.Tab>
        </Tabs.List>
        <Tabs.Panel value="numbers" pt="md">
          {store.data ? <Numbers store={store.data} /> : store.isPending ? <Waiting what="Adding up" /> : null}
        </Tabs.Panel>
        <Tabs.Panel value="history" pt="md">
          <BlockstoreHistory />
        </Tabs.Panel>
        <Tabs.Panel value="work" pt="md">
          <BlockstoreWork />
        </Tabs.Panel>
        <Tabs.Panel value="stores" pt="md">
          {store.data ? <PayloadStores stores={store.data.stores} /> : <Waiting what="Asking the stores" />}
        </Tabs.Panel>
        <Tabs.Panel value="verification" pt="md">
          <Verification />
        </Tabs.Panel>
        <Tabs.Panel value="keys" pt="md">
          <GroupKeys />
        </Tabs.Panel>
      </Tabs>
    </Page>
  );
}

function Numbers({ store }: { store: Blockstore }) {
  const { account, lastCollection: last, verification } = store;
  return (
    <>
      <section className="hf-panel">
        <dl className="hf-facts">
          <Fact name="Snapshots">
            {count(store.snapshots)}
            {store.trashed ? `, of them ${count(store.trashed)} in the trash` : ""}
          </Fact>
          <Fact name="Files of all snapshots">{bytes(store.logicalBytes)}</Fact>
          <Fact name="Different blocks">{bytes(store.rawBytes)}</Fact>
          <Fact name="Stored, compressed">{bytes(store.storedBytes)}</Fact>
          <Fact name="Deduplication">{times(store.logicalBytes, store.rawBytes)}</Fact>
          <Fact name="Compression">{times(store.rawBytes, store.storedBytes)}</Fact>
          <Fact name="Saved">{percentSaved(store.storedBytes, store.logicalBytes)}</Fact>
          <Fact name="On disks and in buckets">
            {store.diskBytes === null || store.diskBytes === undefined
              ? "a store does not answer"
              : bytes(store.diskBytes)}
          </Fact>
          <Fact name="Free for reuse in the database">{bytes(store.reusableBytes)}</Fact>
          <Fact name="Backups being written">{count(store.writers)}</Fact>
        </dl>
        {store.exact ? null : (
          <Text size="xs" className="hf-dim" mt="sm">
            There are more than a million blocks: bytes before and after compression are scaled from a sample.
          </Text>
        )}
      </section>
      <section className="hf-panel" style={{ marginTop: 16 }}>
        {account ? (
          <>
            <dl className="hf-facts">
              <Fact name="Needed by any snapshot">{bytes(account.live.storedBytes)}</Fact>
              <Fact name="Shared by several">{bytes(account.shared.storedBytes)}</Fact>
              <Fact name="Needed by one alone">{bytes(account.unique.storedBytes)}</Fact>
              <Fact name="Reclaimable">{bytes(account.reclaimable.storedBytes)}</Fact>
              <Fact name="Held for what is being written">{bytes(account.held.storedBytes)}</Fact>
              <Fact name="Counted">
                <Time at={account.at} />
              </Fact>
            </dl>
            <Text size="xs" className="hf-dim" mt="sm">
              Reclaimable: freed if a collection ran now and all that lies in the trash were past its grace.
            </Text>
          </>
        ) : (
          <Text size="sm">
            What is shared and what is reclaimable is counted by the first collection. It comes by itself; it can be
            asked for under Work.
          </Text>
        )}
      </section>
      <section className="hf-panel" style={{ marginTop: 16 }}>
        <dl className="hf-facts">
          <Fact name="Last collection">
            <Time at={last?.finishedAt} none="none yet" />
          </Fact>
          {last ? (
            <>
              <Fact name="Snapshots removed">{count(last.unlinked)}</Fact>
              <Fact name="Freed for reuse">{bytes(last.freedForReuseBytes)}</Fact>
              <Fact name="Given back to disks">{bytes(last.freedOnDiskBytes)}</Fact>
            </>
          ) : null}
          <Fact name="All read back since">
            <Time at={verification.allSince} none={`${256 - verification.never} of 256 shares read so far`} />
          </Fact>
        </dl>
      </section>
    </>
  );
}
