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
            <b>Writes/min</b>: inserts, updates, deletes and commands together; of a wide bar the mean. Counted for 400
            days, also where nothing can be restored any more.
          </li>
          <li>
            <b>Events</b>: ✕ a drop, □ an index that was built or dropped, △ an election, ◇ another command. Where many
            lie close to each other one mark says how many.
          </li>
        </ul>
        <h2>Keyboard</h2>
        <p>
          With the timeline focused: arrow keys move the chosen second, Shift by a minute, Alt by an oplog entry; Page
          Up and Page Down go to the mark before and after; + and - zoom; Home and End go to the first and last second
          that can be restored.
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
    id: "sign-in",
    title: "Sign-in elsewhere: provider, directory",
    body: (
      <>
        <p>
          Under <b>Settings</b> people can be let in by an OpenID Connect provider, an LDAP directory, or both. Each has
          a test; try a sign-in in another window before you rely on it.
        </p>
        <h2>A provider (OpenID Connect)</h2>
        <ol>
          <li>Register the address that the settings show there; take the client id and secret that you get.</li>
          <li>Name the issuer, an https address whose description is read from it, and save.</li>
          <li>Press &quot;Test what is saved&quot;: the description and its keys are read now.</li>
        </ol>
        <p>
          Restores and deletions ask again: these people sign in again at the provider, which must say when it asked (
          <code>auth_time</code>). Where it does not, a second factor that they set up here takes its place.
        </p>
        <h2>A directory (LDAP)</h2>
        <ol>
          <li>
            Use TLS (636) or StartTLS (389). The certificate is always checked; give the CA&apos;s where the machine
            does not know it.
          </li>
          <li>A service account that may read names finds the person; then their own password is tried.</li>
          <li>
            Test it with someone&apos;s name: the settings show who was found, with address and groups. OpenLDAP names
            people by <code>entryUUID</code>, Active Directory by <code>objectGUID</code> and is asked with{" "}
            <code>{"(sAMAccountName={user})"}</code>.
          </li>
        </ol>
        <h2>Who gets in, and as what</h2>
        <ul>
          <li>
            A first sign-in makes an account where the address is verified and its domain is listed (or anyone may make
            an account). Closed sign-up makes none.
          </li>
          <li>
            An account that is here already is taken over by its address only if you allow it, and never one with a role
            over the appliance: keep one such account with a password here and a second factor.
          </li>
          <li>
            Lines of groups give roles here to groups there. They are set anew at each sign-in: who left the group there
            leaves it here then. To shut someone out at once, shut the account under Users too; sessions and API keys
            end with it.
          </li>
        </ul>
        <h2>It is broken, and nobody gets in</h2>
        <p>
          Accounts with a password here go on working. Is there none? On the server, this lets an administrator in by a
          new password, whatever the account signed in by before:
        </p>
        <Code>{`holdfast-app reset-administrator --email you@example.org --config holdfast.toml`}</Code>
      </>
    ),
  },
  {
    id: "sftp",
    title: "Restores pushed by SFTP",
    body: (
      <>
        <p>
          A restore can go to a server by itself instead of being downloaded. Any OpenSSH server will do; the appliance
          connects to it, never the other way round.
        </p>
        <ol>
          <li>
            Under <b>SFTP targets</b>, copy the group&apos;s public key into <code>~/.ssh/authorized_keys</code> of a
            user at the server.
          </li>
          <li>
            Add the target. The appliance shows the host key that answers; compare its fingerprint with what{" "}
            <code>ssh-keygen -lf</code> prints at the server, then add it. From then on nothing is sent to a server that
            shows another key.
          </li>
          <li>Press Test: it logs in, looks at the folder, and says how much is free there.</li>
          <li>
            On the page Restore choose <b>Pushed by SFTP</b>. A restore that is ready can be pushed later as well, from
            its own page.
          </li>
        </ol>
        <p>
          While it is sent the file ends in <code>.part</code>; it gets its name when it is whole and <code>.sums</code>
          , the BLAKE3 sums of the files in it, lies beside it. A broken connection is tried again by itself and goes on
          where it was (<code>tar.gz</code> begins anew).
        </p>
        <h2>It was not delivered</h2>
        <ul>
          <li>
            <b>Refuses the login</b>: the public key is not in that user&apos;s <code>authorized_keys</code>, or its
            folders may be written by others. Put it there, then &quot;Push it again&quot;.
          </li>
          <li>
            <b>The host key changed</b>: was the server set up anew? Remove the target and add it again. If not, someone
            may be answering in its place: ask before you do.
          </li>
          <li>
            <b>The disk is full</b>: make room there, then &quot;Push it again&quot;.
          </li>
        </ul>
        <Code>{`holdfast sftp key GROUP
holdfast sftp add GROUP vault --host vault.example.org --user backup --folder /srv/restores
holdfast restore GROUP/RS --at 2026-11-22T14:03:06Z --sftp vault --wait
holdfast sftp push RESTORE vault`}</Code>
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
          one. <b>Over time</b> shows how it grew, and in how many days it is full if it goes on like that. A further
          folder or bucket can be made the default at any time; an old one is emptied into it while backups run.
        </p>
        <h2>Something is wrong</h2>
        <p>
          <b>Log</b> shows what web, ingest and the daemons said, live. The diagnostics bundle beside it is one file
          with states, settings without their secrets, and that log, for whoever helps you;{" "}
          <code>holdfast diagnostics</code> writes it too.
        </p>
        <h2>Links lead nowhere</h2>
        <p>
          Under <b>Settings</b>, set the public URL: the address that people type. Links in invitations and mails are
          made with it; agents go by the configuration file and are not touched.
        </p>
        <h2>Someone else changed it</h2>
        <p>
          When two people change the same settings, the second is told and nothing is written over:{" "}
          <b>Show what is there now</b> reads it again, then make your change to that.
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
