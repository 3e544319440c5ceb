// Every page of the app, by name: for axe and for the screenshots.

/** Pages of someone who is signed in. `at` is a second that can be restored. */
export function pages({ group, rs, deployment, restore, at, snapshot }) {
  const g = `/g/${group}`;
  return [
    ["overview", g],
    ["deployments", `${g}/deployments`],
    ["deployment", `${g}/deployments/${deployment}`],
    ["add-deployment", `${g}/deployments/add`],
    ["backups", `${g}/backups`],
    ["timeline", `${g}/backups/${rs}?span=900`],
    ["timeline-second", `${g}/backups/${rs}?span=120&from=${at - 60}&at=${at}`],
    ["timeline-year", `${g}/backups/${rs}?span=31536000`],
    ["snapshots", `${g}/backups/${rs}?tab=snapshots`],
    ["snapshot", `${g}/backups/${rs}?tab=snapshots&snapshot=${snapshot}`],
    ["settings", `${g}/backups/${rs}?tab=settings`],
    ["restore", `${g}/backups/${rs}/restore?at=${at}`],
    ["restore-unrestorable", `${g}/backups/${rs}/restore?at=${at - 400_000_000}`],
    ["restores", `${g}/restores`],
    ...(restore ? [["restore-job", `${g}/restores/${restore}`]] : []),
    ["agents", `${g}/agents`],
    ["people", `${g}/people`],
    ["keys", `${g}/keys`],
    ["audit", `${g}/audit`],
    ["admin-daemons", "/admin/daemons"],
    ["admin-blockstore", "/admin/blockstore"],
    ["admin-offsite", "/admin/offsite"],
    ["admin-jobs", "/admin/jobs"],
    ["admin-users", "/admin/users"],
    ["admin-groups", "/admin/groups"],
    ["admin-keys", "/admin/keys"],
    ["admin-settings", "/admin/settings"],
    ["admin-audit", "/admin/audit"],
    ["account", "/account"],
    ["help", "/help"],
    ["help-mistake", "/help/mistake"],
  ];
}
