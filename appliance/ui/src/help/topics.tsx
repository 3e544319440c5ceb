// Topics of the manual. Each answers a question that an operator has at a bad hour.
import type { ReactNode } from "react";

export interface Topic {
  id: string;
  title: string;
  body: ReactNode;
}

const Code = ({ children }: { children: string }) => <pre tabIndex={0}>{children}</pre>;

export const TOPICS: Topic[] = [
  {
    id: "safe",
    title: "Is my data safe?",
    body: (
      <>
        <p>
          The overview answers it per deployment, the worst first. <b>Protected up to</b> is the last instant that can
          be restored; <b>loss if it failed now</b> is what would be missing if the replica set were gone this second.
        </p>
        <h2>What the verdicts mean</h2>
        <ul>
          <li>
            <b>Not protected</b>: something cannot be restored, or soon will not be. Do what "Next" says.
          </li>
          <li>
            <b>Late</b>: everything is protected, but a snapshot or the agent is late and a deadline runs.
          </li>
          <li>
            <b>Protected</b>: writes arrive; no snapshot was proved yet.
          </li>
          <li>
            <b>Protected and proved</b>: a snapshot was opened with a real mongod and compared with the head.
          </li>
          <li>
            <b>First copy runs</b>: nothing is wrong, and nothing can be restored yet.
          </li>
          <li>
            <b>Not backed up</b>: found, but no backup was started, or it was stopped.
          </li>
        </ul>
      </>
    ),
  },
  {
    id: "mistake",
    title: "Someone deleted data",
    body: (
      <>
        <p>Do not hurry: the deleted state and the state before it are both kept for the whole oplog window.</p>
        <ol>
          <li>
            Open the backup's timeline. A drop is a ✕ in the lane of events; a flood of deletions is a bar in the lane
            of writes.
          </li>
          <li>Drag to it. "Look at a second" shows the last writes before the cut and the first after it.</li>
          <li>Press "Just before this" at the first wrong write: the cut moves to the entry before it.</li>
          <li>Press "Restore this second…". Nothing that runs is touched: you get a copy.</li>
          <li>Open the copy with a mongod and bring the missing documents back with mongodump and mongorestore.</li>
        </ol>
        <Code>{`holdfast restore GROUP/RS --at 2026-11-22T14:03:06Z --wait --to ./restored
mongod --dbpath ./restored --port 29999`}</Code>
      </>
    ),
  },
  {
    id: "restore",
    title: "Restoring",
    body: (
      <>
        <p>
          A restore of a snapshot is ready at once. A restore of a second takes the newest snapshot before it and
          replays the oplog up to that second, inclusive: every write of that second is in.
        </p>
        <h2>Times</h2>
        <p>
          Type a time in any zone, RFC 3339, seconds since 1970, or an optime as <code>SECONDS,INCREMENT</code>. Times
          are the source's cluster time. A second can be restored once a later write is known; replica sets write at
          least every ten seconds.
        </p>
        <h2>What you get</h2>
        <p>
          An archive of a dbpath. A mongod of the same release opens it as it is, with the same collections, UUIDs and
          indexes. The list <code>.sums</code> beside the link has the BLAKE3 sum of each file;{" "}
          <code>holdfast restore --to</code> checks them.
        </p>
        <h2>The link</h2>
        <p>
          It works for as long and as often as was set. Whoever has it can download; the appliance keeps no more than
          its hash.
        </p>
      </>
    ),
  },
  {
    id: "add",
    title: "Adding a deployment",
    body: (
      <>
        <p>
          An agent must reach the databases and this appliance; nothing connects to the agent. "Add a deployment" shows
          the one line to run. <code>holdfast-agent role</code> prints the least-privileged role,{" "}
          <code>holdfast-agent check</code> says in plain words what is missing.
        </p>
        <Code>{`db.getSiblingDB("admin").createUser({ user: "backup", pwd: passwordPrompt(), roles: ["holdfast"] })`}</Code>
        <p>
          MongoDB 6.0 replica sets are backed up. Standalones and sharded clusters are refused with a sentence that says
          what to do.
        </p>
      </>
    ),
  },
  {
    id: "timeline",
    title: "Reading the timeline",
    body: (
      <>
        <p>Four lanes over one axis, from seconds to a year.</p>
        <ul>
          <li>
            <b>Restorable</b>: any second of a band can be restored. Hatched stretches are gaps; their reason stands on
            them. Where the band is faded only whole snapshots will stay, once the oplog window has passed.
          </li>
          <li>
            <b>Snapshots</b>: a hollow ring is not proved, a full one is; a triangle failed.
          </li>
          <li>
            <b>Writes/min</b>: inserts, updates and deletes together.
          </li>
          <li>
            <b>Events</b>: ◇ a command such as createIndexes, ✕ a drop, and elections.
          </li>
        </ul>
        <h2>Keyboard</h2>
        <p>
          With the timeline focused: arrow keys move the chosen second, Shift by a minute, Alt to the next mark; + and -
          zoom; Home and End go to the first and last second that can be restored.
        </p>
      </>
    ),
  },
  {
    id: "retention",
    title: "Schedule and retention",
    body: (
      <>
        <p>
          The oplog window says for how many days any second can be restored. Beyond it single snapshots stay: one per
          six hours, day, week and month for as long as set. The newest good snapshot, the one that the window starts
          from, and pinned ones always stay.
        </p>
        <p>
          Before a change is saved, the page says which snapshots would go and what becomes free at most. What goes lies
          in the trash first.
        </p>
      </>
    ),
  },
  {
    id: "people",
    title: "People and roles",
    body: (
      <>
        <ul>
          <li>
            <b>Owner</b>: everything in the group.
          </li>
          <li>
            <b>Backup admin</b>: backs up and restores.
          </li>
          <li>
            <b>Monitoring admin</b>: enrols agents, adds deployments.
          </li>
          <li>
            <b>User admin</b>: invites, approves, gives roles but owner, makes API keys.
          </li>
          <li>
            <b>Read only</b>: looks.
          </li>
        </ul>
        <p>
          The same five exist over the whole appliance. Nobody changes their own role, and the last owner of a group
          cannot leave it. Restores and deletions ask again who is there.
        </p>
      </>
    ),
  },
  {
    id: "appliance",
    title: "Running the appliance",
    body: (
      <>
        <h2>A machine shall go</h2>
        <p>
          On the page Daemons, choose it and press <b>Empty</b>. It takes no new backup, and its heads move to other
          daemons, one after the other; each is built anew there from its last snapshot and what was written since. When
          it says that it is empty, end its process. Until then the drain can be taken back. If a head fits nowhere, the
          page says why: give another daemon more room, a label or a mongod.
        </p>
        <h2>What is going on</h2>
        <p>
          <b>Jobs</b> lists all long work with its state, its progress and the last error with the daemon that met it.
          Work whose daemon died is taken up by another: it shows as a further attempt.
        </p>
        <h2>A disk fills up</h2>
        <p>
          <b>Blockstore</b> says what could be reclaimed, and counts what another retention would free before you change
          one. A further folder or bucket can be made the default at any time; an old one is emptied into it while
          backups run.
        </p>
        <h2>Browsers warn</h2>
        <p>
          Under <b>Settings</b>, upload a certificate and its key for the host name that people type. Agents do not see
          it: they go by the appliance&apos;s own. Three weeks before it runs out the page says so.
        </p>
      </>
    ),
  },
  {
    id: "api",
    title: "API and command line",
    body: (
      <>
        <p>
          Everything here can be done by <code>holdfast</code> and by the REST API under <code>/api/v1</code>, described
          by{" "}
          <a className="hf-link" href="/api/v1/openapi.json">
            its OpenAPI document
          </a>
          .
        </p>
        <Code>{`export HOLDFAST_URL=https://appliance:8080 HOLDFAST_KEY=... HOLDFAST_CA=ca.pem
holdfast backups list GROUP
holdfast snapshots list GROUP/RS
curl --cacert "$HOLDFAST_CA" -H "Authorization: Bearer $HOLDFAST_KEY" "$HOLDFAST_URL/api/v1/groups"`}</Code>
      </>
    ),
  },
];
