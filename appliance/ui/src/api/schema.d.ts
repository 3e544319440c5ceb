// Generated from appliance/web/openapi.json by `npm run client`. Not edited by hand.
export interface paths {
    "/account": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        /** Changes the name; asks for another address, which counts once it is confirmed. */
        put: operations["change_account"];
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/account/apiKeys": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The person's keys. */
        get: operations["list_own_keys"];
        put?: never;
        /** Makes a key of the person's own. */
        post: operations["create_own_key"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/account/apiKeys/{key}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        /** Revokes one of the person's keys at once. */
        delete: operations["revoke_own_key"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/account/email/confirm": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Confirms the new address of an account, by the secret of the mail that was sent there. Links that went to the old address end. */
        post: operations["confirm_email"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/account/groups/{group}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        /** Leaves a group. Its last owner cannot. */
        delete: operations["leave_group"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/account/password": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Changes the password. Every other session ends. */
        post: operations["change_password"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/account/sessions": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The person's sessions. */
        get: operations["list_sessions"];
        put?: never;
        post?: never;
        /** Ends all of the person's sessions but the one that asks. */
        delete: operations["end_other_sessions"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/account/sessions/{session}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        /** Ends one of the person's sessions at once. */
        delete: operations["end_session"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/account/totp": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Begins to set up a second factor: show the URI as a QR code, then confirm with a code of it. */
        post: operations["begin_totp"];
        /** Removes the second factor. */
        delete: operations["remove_totp"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/account/totp/confirm": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Puts the second factor in force, with a code of it. The recovery codes are shown in this answer alone. */
        post: operations["confirm_totp"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/account/totp/recovery-codes": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Makes new recovery codes; the old ones no longer work. */
        post: operations["renew_recovery"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/apiKeys": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The keys that see every group. Not those of persons. */
        get: operations["list_global_keys"];
        put?: never;
        /** Makes a key that sees every group. */
        post: operations["create_global_key"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/apiKeys/{key}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        /** Revokes a key that sees every group, at once. */
        delete: operations["revoke_global_key"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/audit": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** What people and keys did on the appliance and in all groups, newest first. */
        get: operations["all_audit"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/blockstore": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** What the blockstore holds, what is free, what was verified. */
        get: operations["show_blockstore"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/blockstore/history": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** How the blockstore grew, and when it is full. */
        get: operations["show_history"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/blockstore/report": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** What verification found, and when. */
        get: operations["show_report"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/blockstore/requests": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The newest requests, newest first. */
        get: operations["list_blockstore_requests"];
        put?: never;
        /** Asks for long work on the blockstore. `collect` and `move` need a global owner. */
        post: operations["create_blockstore_request"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/blockstore/requests/{request}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** A request. */
        get: operations["show_blockstore_request"];
        put?: never;
        post?: never;
        /** Calls a request off: what it did so far stays. */
        delete: operations["cancel_blockstore_request"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/blockstore/stores": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The stores, with what lies in them. */
        get: operations["list_stores"];
        put?: never;
        /** Adds a store, after it was opened and marked as this blockstore's. */
        post: operations["add_store"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/blockstore/stores/{number}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        /** Changes a store. Number 0 is the database: it can be made the default. */
        patch: operations["change_store"];
        trace?: never;
    };
    "/blockstore/whatIf": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** What another retention would free, answered at once from the last account. A fresh answer is asked for as a request. */
        post: operations["what_if"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/daemons": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** All daemons. */
        get: operations["list_daemons"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/daemons/{daemon}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        /** Empties a daemon, or takes that back; changes the labels that it has besides its own. */
        patch: operations["change_daemon"];
        trace?: never;
    };
    "/diagnostics": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** What someone who looks for a fault wants to read, as a `tar.gz`: the API's own answers to the caller, and the log. It holds no secret. */
        get: operations["download_diagnostics"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/events": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * What changes in the appliance and in all its groups, as server-sent events named `change`, each a `ChangeView`. The first is `reload`.
         *     Comments keep it alive.
         */
        get: operations["appliance_events"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/groups": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The groups that the caller sees, by name. */
        get: operations["list_groups"];
        put?: never;
        /** Makes a group. */
        post: operations["create_group"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/groups/{group}/agents": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The group's agents, by the name of their machine. */
        get: operations["list_agents"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/groups/{group}/agents/{agent}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        /** Revokes an agent's keys at once. Its jobs go to another agent of the group. */
        delete: operations["revoke_agent"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/groups/{group}/apiKeys": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The group's keys. */
        get: operations["list_group_keys"];
        put?: never;
        /** Makes a key that sees this group alone. */
        post: operations["create_group_key"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/groups/{group}/apiKeys/{key}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        /** Revokes a key of the group at once. */
        delete: operations["revoke_group_key"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/groups/{group}/audit": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** What people and keys did in the group, newest first. */
        get: operations["group_audit"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/groups/{group}/backups": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The group's backups, by the name of the replica set. */
        get: operations["list_backups"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/groups/{group}/backups/{rs}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** A backup. */
        get: operations["show_backup"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        /** Changes settings of a backup. */
        patch: operations["change_settings"];
        trace?: never;
    };
    "/groups/{group}/backups/{rs}/cut": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** What stands around an instant. */
        get: operations["show_cut"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/groups/{group}/backups/{rs}/move": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Moves a backup to another daemon: its head is rebuilt there from the last snapshot and the ledger. */
        post: operations["move_backup"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/groups/{group}/backups/{rs}/policy": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        /** Sets what is promised of one backup; what is left out or null, the group says. */
        put: operations["set_backup_policy"];
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/groups/{group}/backups/{rs}/restores": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The restores of a backup, newest first. */
        get: operations["list_restores"];
        put?: never;
        /** Asks for a restore. */
        post: operations["create_restore"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/groups/{group}/backups/{rs}/restores/estimate": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** What a restore would take: its base, what there is to replay, room, version, time. Changes nothing. */
        get: operations["estimate_restore"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/groups/{group}/backups/{rs}/resync": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Makes a new initial sync. What could be restored stays restorable. */
        post: operations["resync_backup"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/groups/{group}/backups/{rs}/retention/preview": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** What a retention would do if it were saved now. Changes nothing. */
        post: operations["preview_retention"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/groups/{group}/backups/{rs}/snapshots": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The snapshots of a backup, oldest first. */
        get: operations["list_snapshots"];
        put?: never;
        /** Asks for a snapshot now; the daemon takes it at the next entry boundary. */
        post: operations["take_snapshot"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/groups/{group}/backups/{rs}/snapshots/requests/{request}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** How a request for a snapshot stands. */
        get: operations["show_snapshot_request"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/groups/{group}/backups/{rs}/snapshots/{snapshot}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** One snapshot. */
        get: operations["show_snapshot"];
        put?: never;
        post?: never;
        /** Puts a snapshot into the trash. Refused for the newest good one, for the one that the oplog window starts from, and for a pinned one. */
        delete: operations["delete_snapshot"];
        options?: never;
        head?: never;
        /** Names a snapshot, or takes its name away. */
        patch: operations["label_snapshot"];
        trace?: never;
    };
    "/groups/{group}/backups/{rs}/snapshots/{snapshot}/pin": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Keeps a snapshot until it is unpinned. */
        post: operations["pin_snapshot"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/groups/{group}/backups/{rs}/snapshots/{snapshot}/restoreFromTrash": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Takes a snapshot out of the trash again, while it is still there. */
        post: operations["restore_from_trash"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/groups/{group}/backups/{rs}/snapshots/{snapshot}/unpin": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Leaves a snapshot to the schedule again. */
        post: operations["unpin_snapshot"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/groups/{group}/backups/{rs}/start": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Starts a backup, or starts a stopped one again. Does nothing to one that runs. */
        post: operations["start_backup"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/groups/{group}/backups/{rs}/stop": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Stops a backup. Its snapshots stay; the chain ends here, and starting again begins with a new initial sync. */
        post: operations["stop_backup"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/groups/{group}/backups/{rs}/termination": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** What giving the backup up takes away and what stays. Changes nothing. */
        get: operations["show_termination"];
        put?: never;
        /**
         * Gives a backup up: nothing is backed up any more, its head is removed, its snapshots go to the trash. It can be taken back while they lie
         *     there.
         */
        post: operations["terminate_backup"];
        /** Takes a termination back: the backup is a stopped one again, with the snapshots that are still there. */
        delete: operations["take_back_termination"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/groups/{group}/backups/{rs}/timeline": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The timeline between two instants. */
        get: operations["show_timeline"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/groups/{group}/deployments": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The group's deployments, oldest first. */
        get: operations["list_deployments"];
        put?: never;
        /** Adds a deployment: an agent of the group looks at it. */
        post: operations["add_deployment"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/groups/{group}/deployments/{deployment}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** One deployment. */
        get: operations["show_deployment"];
        put?: never;
        post?: never;
        /** Removes a deployment that has no backup. Nothing that is stored is lost by it: it can be added again. */
        delete: operations["remove_deployment"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/groups/{group}/deployments/{deployment}/look": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Has an agent look at it again: its members and their states, its privileges, its size. */
        post: operations["look_again"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/groups/{group}/enrollTokens": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Makes an enrolment token. */
        post: operations["create_enroll_token"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/groups/{group}/events": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** What changes in the group, as server-sent events named `change`, each a `ChangeView`. The first is `reload`. Comments keep it alive. */
        get: operations["events"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/groups/{group}/hostEvents": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** What happened to hosts of the group, oldest first; of more than 2,000 the newest. */
        get: operations["list_host_events"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/groups/{group}/hosts": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The group's hosts, by name. */
        get: operations["list_hosts"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/groups/{group}/hosts/{host}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** One host. */
        get: operations["show_host"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/groups/{group}/hosts/{host}/facts": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Start-up warnings, command line, machine, privileges and collections of a host. */
        get: operations["show_facts"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/groups/{group}/hosts/{host}/measurements": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Measurements of a host. */
        get: operations["show_measurements"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/groups/{group}/hosts/{host}/pings": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The last 20 pings of a host, newest first. */
        get: operations["list_pings"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/groups/{group}/invitations": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The group's open invitations, newest first. */
        get: operations["list_invitations"];
        put?: never;
        /** Invites someone into the group. */
        post: operations["create_invitation"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/groups/{group}/invitations/{invitation}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        /** Takes an invitation back. */
        delete: operations["revoke_invitation"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/groups/{group}/joinRequests": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Requests to join the group, oldest first. */
        get: operations["list_join_requests"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/groups/{group}/joinRequests/{request}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Answers a request: with roles the person joins, without it is refused. */
        post: operations["answer_join_request"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/groups/{group}/key/export": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Exports the key of a group that encrypts: with it, and the blocks, all its backups can be read. */
        post: operations["export_key"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/groups/{group}/members": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The group's members, by address. */
        get: operations["list_members"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/groups/{group}/members/{user}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        /** Sets a member's roles. */
        put: operations["set_roles"];
        post?: never;
        /** Takes a person out of the group. To leave it oneself: DELETE /account/groups/{group}. */
        delete: operations["remove_member"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/groups/{group}/metrics": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The newest measurements of the group's hosts, for Prometheus: give it this URL and an API key with a role that reads. */
        get: operations["show_open_metrics"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/groups/{group}/overview": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The group's verdict, and each of its deployments with its own, the worst first. */
        get: operations["show_overview"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/groups/{group}/policies": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** What is promised in the group, and of each of its backups. */
        get: operations["show_policies"];
        /** Sets what is promised in the group. Backups that say otherwise keep their own. */
        put: operations["set_group_policy"];
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/groups/{group}/restores": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The restores of a group, newest first: who, why, what, when, and how far their links are used. */
        get: operations["list_group_restores"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/groups/{group}/sftp/key": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The group's public key; made when it is asked for first. */
        get: operations["show_sftp_key"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/groups/{group}/sftp/look": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Connects to a server once, without logging in, and shows its host key. */
        post: operations["look_at_sftp_server"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/groups/{group}/sftp/targets": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The group's targets, by name. */
        get: operations["list_sftp_targets"];
        put?: never;
        /** Adds a target with the host key that was confirmed. */
        post: operations["add_sftp_target"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/groups/{group}/sftp/targets/{target}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        /** Removes a target. Deliveries to it that have not ended fail; what was delivered stays at the server. */
        delete: operations["remove_sftp_target"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/groups/{group}/sftp/targets/{target}/test": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Logs in at a target as a delivery would, and looks at its folder. Writes nothing there. */
        post: operations["test_sftp_target"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/invitations/accept": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Accepts an invitation: as the person whom it names, signed in, or by making that account, whose session begins here. */
        post: operations["accept_invitation"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/invitations/look": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** What an invitation is for. */
        post: operations["look_at_invitation"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/jobs": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** All long work of the appliance, newest first: live states, progress, the last error with the daemon that met it. */
        get: operations["list_jobs"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/joinRequests": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Asks to join a group. The answer is the same whether there is such a group or not. */
        post: operations["request_join"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/logs": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** What the appliance's programs said, newest first. Kept: about the last hundred thousand lines. */
        get: operations["list_log_lines"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/metrics": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Every metric, in the order in which charts are shown. */
        get: operations["list_metrics"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/offsite/copies": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** All offsite copies, by name. */
        get: operations["list_offsite_copies"];
        put?: never;
        /** Makes an offsite copy. */
        post: operations["create_offsite_copy"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/offsite/copies/{copy}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** An offsite copy: its settings, how far its run is, what its last run did. */
        get: operations["show_offsite_copy"];
        put?: never;
        post?: never;
        /** Removes an offsite copy. A run ends; what was copied stays. */
        delete: operations["remove_offsite_copy"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/offsite/copies/{copy}/restores": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Restores a pulled snapshot: the link of the download. Instants after it cannot be restored here, since the ledger does not travel. */
        post: operations["restore_pulled_snapshot"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/offsite/copies/{copy}/run": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Asks for a run now. */
        post: operations["run_offsite_copy"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/offsite/copies/{copy}/snapshots": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The snapshots that an offsite copy pulled, oldest first. */
        get: operations["list_pulled_snapshots"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/offsite/snapshots": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The snapshots that the caller may copy, oldest first: those of the groups in which it may restore. */
        get: operations["list_offsite_snapshots"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/offsite/snapshots/{snapshot}/blocks": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Blocks of a snapshot in their stored form (zstd frames, encrypted where the group encrypts), one record after the other. */
        post: operations["read_offsite_blocks"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/offsite/snapshots/{snapshot}/hold": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Keeps a snapshot for two hours from now on, for whoever copies it. Asked again it is kept for longer. */
        post: operations["hold_offsite_snapshot"];
        /** Lets a snapshot go that this key held. */
        delete: operations["release_offsite_snapshot"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/offsite/snapshots/{snapshot}/root": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The root of a snapshot, as BSON, without what belongs to this store alone (pins). */
        get: operations["show_offsite_root"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/password-resets": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Asks for a link. The answer is the same for every address. */
        post: operations["ask_reset"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/password-resets/confirm": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Sets a new password by the secret of a link. Every session of the account ends, and the person's own API keys are revoked. */
        post: operations["confirm_reset"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/restores/{restore}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** A restore. */
        get: operations["show_restore"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/restores/{restore}/delivery": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Pushes a restore that is ready to an SFTP target: for the first time, to one more, or again where a push failed. What an earlier push to the
         *     same target brought over is gone on with.
         */
        post: operations["ask_delivery"];
        /** Calls the delivery of a restore off. What was sent by then stays at the server as a `.part` file; the link goes on working. */
        delete: operations["cancel_delivery"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/restores/{restore}/link": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        /**
         * Takes the link of a restore away before its time.
         * @description It opens no further download, and a restore that is still being made is called off. A download that is under way is sent to its end. This
         *     cannot be undone; the same restore can be asked for again.
         */
        delete: operations["revoke_link"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/sessions": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Signs in. 401 `totpRequired`: the password is right, now send a code too. 429 `lockedOut`: wait. */
        post: operations["sign_in"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/sessions/current": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Who is signed in, and what they may do. */
        get: operations["show_session"];
        put?: never;
        post?: never;
        /** Signs out. */
        delete: operations["sign_out"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/sessions/current/verify": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Proves again who one is: restores and deletes ask for it (403 `reauthenticationRequired`). */
        post: operations["verify_again"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/settings/access": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Sign-up, second factor, groups, passwords, sessions. */
        get: operations["show_access"];
        /** Sets sign-up, second factor, groups, passwords, sessions. Other instances follow within two seconds. */
        put: operations["set_access"];
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/settings/backupDefaults": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** What new backups begin with. */
        get: operations["show_backup_defaults"];
        /** Sets what new backups begin with. Backups that there are keep their settings; the policy counts for them too. */
        put: operations["set_backup_defaults"];
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/settings/ldap": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The directory of sign-ins. */
        get: operations["show_ldap"];
        /** Sets the directory of sign-ins. */
        put: operations["set_ldap"];
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/settings/ldap/test": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Tries the stored settings now and says what the directory said. No password of a person is needed. */
        post: operations["test_ldap"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/settings/mail": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The mail server. */
        get: operations["show_mail"];
        /** Sets the mail server. */
        put: operations["set_mail"];
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/settings/mail/test": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Sends a test now and says what the server said. */
        post: operations["test_mail"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/settings/monitoring": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** How often hosts are read and how long measurements are kept. */
        get: operations["show_monitoring"];
        /** Sets how often hosts are read and how long measurements are kept. A shorter time deletes what is older. */
        put: operations["set_monitoring"];
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/settings/oidc": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The provider of sign-ins. */
        get: operations["show_oidc"];
        /** Sets the provider of sign-ins. */
        put: operations["set_oidc"];
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/settings/oidc/test": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Reads the provider's description and keys now and says what came. The client's secret is proved by a sign-in alone. */
        post: operations["test_oidc"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/settings/publicUrl": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The URL in links that are mailed and shown. */
        get: operations["show_public_url"];
        /** Sets the URL in links that are mailed and shown. Other instances follow within two seconds. */
        put: operations["set_public_url"];
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/settings/tls": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The certificate that browsers see. */
        get: operations["show_tls"];
        /** Uploads a certificate and its key for browsers. Every instance shows it within seconds, without a restart. */
        put: operations["set_tls"];
        post?: never;
        /** Takes the uploaded certificate away: browsers see that of the appliance's own CA again. */
        delete: operations["remove_tls"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/setup": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Whether an administrator has an account, and what a page before the sign-in must know. */
        get: operations["show_setup"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/setup/claim": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Claims the appliance with its set-up code: makes the administrator's account and the first group, and signs in. */
        post: operations["claim"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/setup/code": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Looks whether a set-up code is the right one, before anything else is typed. It changes nothing; guesses are counted. */
        post: operations["try_code"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/sign-ins/code": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Ends a sign-in at the provider with a code of the second factor. */
        post: operations["send_code"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/sign-ins/oidc": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Begins a sign-in at the provider: send the browser to the address of the answer. */
        post: operations["begin_oidc"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/sign-ins/oidc/finish": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Ends a sign-in at the provider, with what it sent back. 202: a code of the second factor is needed. */
        post: operations["finish_oidc"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/sign-ups": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Asks for an account. The answer is the same for every address. */
        post: operations["sign_up"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/sign-ups/confirm": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Makes the account, by the secret of the mail, and signs in. */
        post: operations["confirm_sign_up"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/users": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Accounts, by address. */
        get: operations["list_users"];
        put?: never;
        /** Makes an account. The person sets the password by the link. */
        post: operations["create_user"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/users/{user}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** An account. */
        get: operations["show_user"];
        /** Changes an account: name, global roles, shut or open, second factor removed. Nobody changes their own. */
        put: operations["change_user"];
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
}
export type webhooks = Record<string, never>;
export interface components {
    schemas: {
        /** @description Accepting. `name` and `password` are for who has no account yet. */
        AcceptInvitation: {
            /** @description Name of the new account. */
            name?: string | null;
            /** @description Password of the new account. */
            password?: string | null;
            /** @description The secret. */
            token: string;
        };
        /** @description The policy. */
        AccessSettings: {
            /** @description Who may make a group. */
            groupCreation?: components["schemas"]["GroupCreationName"];
            /**
             * Format: int32
             * @description Shortest password, in characters: 8 to 128.
             */
            passwordCharsMin: number;
            /**
             * Format: int32
             * @description A session ends after so many hours: 1 to 720. New sessions go by it.
             */
            sessionHours: number;
            /**
             * Format: int32
             * @description A session ends when it is not used for so many minutes: 5 to 10,080. New sessions go by it.
             */
            sessionIdleMinutes: number;
            /** @description Who may make an account. */
            signUp: components["schemas"]["SignUpName"];
            /** @description Who needs a second factor. */
            totp: components["schemas"]["TotpName"];
            /**
             * Format: int32
             * @description How long a proof of identity counts for restores and deletes, in minutes: 1 to 1,440.
             */
            verifiedMinutes: number;
        };
        /** @description The account as it is now. */
        AccountChanged: {
            /** @description E-mail address. */
            email: string;
            /** @description The address that was asked for: it counts once the link that was sent to it is used, within a day. */
            emailPending?: string | null;
            /** @description Id. */
            id: string;
            /** @description Name. */
            name: string;
        };
        /** @description What snapshots need, at the time of the last account. */
        AccountView: {
            /** @description When it was taken, RFC 3339. */
            at: string;
            /** @description Needed by no snapshot, but maybe by a backup that is being written. */
            held: components["schemas"]["AmountView"];
            /** @description Needed by any snapshot. */
            live: components["schemas"]["AmountView"];
            /** @description Freed if a collection ran now and the grace of all that lies in the trash were over. */
            reclaimable: components["schemas"]["AmountView"];
            /** @description Of that, needed by more than one snapshot. */
            shared: components["schemas"]["AmountView"];
            /** @description Of that, needed by one snapshot alone. */
            unique: components["schemas"]["AmountView"];
        };
        /** @description What the agent said last. */
        AgentReportView: {
            /** @description When it said so, RFC 3339. */
            at: string;
            /** @description Its last error. */
            error?: string | null;
            /** @description Member that it reads from. */
            member?: string | null;
            /** @description What it is doing. */
            phase: string;
            progress?: components["schemas"]["ProgressView"] | null;
            sentOptime?: components["schemas"]["Instant"] | null;
            /**
             * Format: int64
             * @description Bytes waiting in its spool.
             */
            spoolBytes: number;
        };
        /** @description An agent. */
        AgentView: {
            /** @description Host name of its machine. */
            hostname: string;
            /** @description Id. */
            id: string;
            /** @description When it last asked for its configuration, RFC 3339, by the server's clock. */
            lastSeen: string;
            monitoring?: components["schemas"]["MonitoringAgentView"] | null;
            /** @description Its keys no longer work. */
            revoked: boolean;
            /** @description Version. */
            version: string;
        };
        /** @description Blocks and their bytes. */
        AmountView: {
            /**
             * Format: int64
             * @description Distinct blocks.
             */
            blocks: number;
            /**
             * Format: int64
             * @description Bytes before compression.
             */
            rawBytes: number;
            /**
             * Format: int64
             * @description Bytes as they are stored.
             */
            storedBytes: number;
        };
        /** @description An answer. */
        AnswerJoinRequest: {
            /** @description Roles that the person will have; none: refused. */
            roles: components["schemas"]["RoleName"][];
        };
        /** @description Who of the other side gets in. */
        ArrivalRules: {
            /**
             * @description E-mail domains whose people get an account at their first sign-in. Empty: everyone where sign-up is open, else who is invited. Where
             *     the sign-up is closed nobody gets one.
             */
            domains: string[];
            /** @description Whoever has a verified address there takes over the account of that address here; its password no longer works. */
            linkByEmail: boolean;
            /**
             * @description Groups there and roles here. A group that is named here is kept by the other side: roles given by hand are replaced at the next
             *     sign-in.
             */
            mapping: components["schemas"]["MappingLine"][];
            /** @description Whose second factor counts. */
            secondFactor: components["schemas"]["SecondFactorName"];
        };
        /** @description Where to push a restore. */
        AskDelivery: {
            /** @description Name of an SFTP target of its group. */
            sftp?: string;
        };
        /** @description Who forgot. */
        AskReset: {
            /** @description E-mail address. */
            email: string;
        };
        /** @description A page, newest first. */
        AuditPage: {
            /** @description Entries. */
            entries: components["schemas"]["AuditView"][];
            /** @description Give it as `cursor` for the next page; null: this is the last. */
            next?: string | null;
        };
        /** @description Something that someone did. */
        AuditView: {
            /** @description What was done. */
            action: string;
            /** @description The address that the request came from. */
            address: string;
            /** @description After. */
            after?: unknown;
            /** @description When, RFC 3339. */
            at: string;
            /** @description What was changed, before. */
            before?: unknown;
            /** @description More. */
            detail: string;
            /** @description Id of the group; null: the appliance. */
            group?: string | null;
            /** @description Id. */
            id: string;
            /** @description `user`, `apiKey`, `operator` (the server's command line), `nobody`, or empty. */
            kind: string;
            /** @description To what. */
            target: string;
            /** @description Address of the person or label of the key; empty: not signed in. */
            who: string;
        };
        /** @description The defaults. */
        BackupDefaultsView: {
            /**
             * Format: int32
             * @description Hours that a restore link of a new backup works, 1 to 720.
             */
            linkHours: number;
            /**
             * Format: int32
             * @description Uses of such a link, 1 to 1000.
             */
            linkUses: number;
            /** @description What is promised of every backup that says nothing else, in a group that says nothing else. */
            policy: components["schemas"]["PolicyView"];
            /** @description What is kept of a new backup. */
            retention: components["schemas"]["RetentionView"];
            /** @description When snapshots of a new backup are due. */
            schedule: components["schemas"]["ScheduleView"];
        };
        /** @description The policy of a backup. */
        BackupPolicyView: {
            /** @description What it is measured against: its own, else the group's, else the appliance's. */
            effective: components["schemas"]["PolicyView"];
            /** @description What it says itself. */
            own: components["schemas"]["PolicyView"];
            /**
             * Format: int64
             * @description Counts the changes of what it says itself: the tag of its policy, for `If-Match`.
             */
            revision: number;
            /** @description Name of the replica set. */
            rs: string;
        };
        /** @description A backup. */
        BackupView: {
            /** @description Agent that sends. */
            agent?: string | null;
            agentReport?: components["schemas"]["AgentReportView"] | null;
            /**
             * Format: int64
             * @description Number of the open chain, or of the last one.
             */
            chain?: number | null;
            changesAlert?: components["schemas"]["ChangesView"] | null;
            /** @description Why the last chain is closed. */
            closed?: string | null;
            /** @description Daemon that holds the head. */
            daemon?: string | null;
            /** @description Name of the group. */
            group: string;
            /**
             * Format: int64
             * @description Bytes of the head on disk.
             */
            headBytes: number;
            headOptime?: components["schemas"]["Instant"] | null;
            /** @description Id of the job. */
            id: string;
            /**
             * Format: int64
             * @description Seconds of the source's cluster time that the head is behind.
             */
            lagSeconds?: number | null;
            lastChanges?: components["schemas"]["ChangesView"] | null;
            /** @description Last error; null when all is well. */
            lastError?: string | null;
            ledgerOptime?: components["schemas"]["Instant"] | null;
            /** @description What is being done. */
            phase: string;
            progress?: components["schemas"]["ProgressView"] | null;
            /** @description What can be restored. */
            ranges: components["schemas"]["RangeView"][];
            /** @description Name of the replica set. */
            rs: string;
            /** @description Settings. */
            settings: components["schemas"]["SettingsView"];
            /**
             * Format: int64
             * @description Counts the changes of the settings: their tag, for `If-Match`.
             */
            settingsRevision: number;
            sourceOptime?: components["schemas"]["Instant"] | null;
            /** @description `initialSync`, `catchingUp`, `active`, `resyncing`, `stopped`, `failed` or `terminated`. */
            state: string;
            /** @description Since when, RFC 3339. */
            stateSince: string;
        };
        /** @description A limit on the agent's sending. */
        BandwidthView: {
            /**
             * Format: int64
             * @description Bytes a second, at least 65,536.
             */
            bytesPerSecond: number;
            /**
             * Format: int32
             * @description First hour, 0-23, the agent's local time.
             */
            fromHour: number;
            /**
             * Format: int32
             * @description Hour at which it ends, 0-24; smaller than `fromHour`: over midnight.
             */
            toHour: number;
        };
        /** @description What to begin. */
        BeginOidc: {
            /** @description Ask the provider to ask for the password again, also of someone who is signed in there. */
            again?: boolean;
        };
        /** @description Setting up a second factor. */
        BeginTotp: {
            /** @description The password, again: here or in the directory. Whoever signs in by a provider sends none and has signed in just now. */
            password: string;
        };
        /** @description Operations of some minutes. */
        BinView: {
            /**
             * Format: int64
             * @description Commands.
             */
            ddl: number;
            /**
             * Format: int64
             * @description Documents deleted.
             */
            deletes: number;
            /**
             * Format: int32
             * @description Start, seconds since 1970, a multiple of `binSeconds`.
             */
            from: number;
            /**
             * Format: int64
             * @description Documents inserted.
             */
            inserts: number;
            /**
             * Format: int64
             * @description Documents changed.
             */
            updates: number;
        };
        /** @description Which blocks of a snapshot. */
        BlocksWanted: {
            /**
             * @description Where they stand: `entries` leads from the top of the tree of entries to a node or page, `file` names an entry of that page, `below`
             *     leads from that file's top to a node or block. At most 256.
             */
            addresses?: Record<string, never>[];
        };
        /** @description How the blockstore grew. */
        BlockstoreHistoryView: {
            /**
             * Format: double
             * @description Share of what was asked for that the daemons' caches had within a day, 0 to 1; null: nothing was asked for.
             */
            cacheHitShare?: number | null;
            forecast?: components["schemas"]["ForecastView"] | null;
            /** @description At most 600, in order. */
            points: components["schemas"]["BlockstorePoint"][];
        };
        /** @description The blockstore at one time. Bytes. */
        BlockstorePoint: {
            /**
             * Format: int64
             * @description Seconds since 1970.
             */
            at: number;
            /**
             * Format: int64
             * @description Blocks that the daemons' caches had since the point before.
             */
            cacheHits: number;
            /**
             * Format: int64
             * @description Blocks that they had not.
             */
            cacheMisses: number;
            /**
             * Format: int64
             * @description On disks and in buckets; null while a store did not answer.
             */
            diskBytes?: number | null;
            /**
             * Format: int64
             * @description Free where new payloads go; null where there is no bound.
             */
            freeBytes?: number | null;
            /**
             * Format: int64
             * @description Files of all snapshots.
             */
            logicalBytes: number;
            /**
             * Format: int64
             * @description Different blocks before compression.
             */
            rawBytes: number;
            /**
             * Format: int64
             * @description What a collection would have freed, by the account of then.
             */
            reclaimableBytes?: number | null;
            /**
             * Format: int64
             * @description As they are stored.
             */
            storedBytes: number;
            /**
             * Format: int64
             * @description Needed by one snapshot alone, by the account of then.
             */
            uniqueBytes?: number | null;
        };
        /** @description A request. */
        BlockstoreRequestView: {
            /** @description RFC 3339. */
            askedAt: string;
            /** @description Who asked. */
            askedBy: string;
            /** @description RFC 3339. */
            endedAt?: string | null;
            /** @description Why it failed. */
            error?: string | null;
            /** @description Id. */
            id: string;
            /** @description `collect`, `plan`, `whatIf`, `verify` or `move`. */
            kind: string;
            /** @description How far it is. */
            progress: components["schemas"]["RequestProgressView"];
            /** @description What was found and done; its fields depend on the kind. Amounts are {blocks, rawBytes, storedBytes}. */
            result?: Record<string, never> | null;
            /** @description RFC 3339. */
            startedAt?: string | null;
            /** @description `queued`, `running`, `done`, `failed` or `cancelled`. */
            state: string;
            /** @description What was asked for. */
            work: Record<string, never>;
        };
        /** @description The blockstore. */
        BlockstoreView: {
            account?: components["schemas"]["AccountView"] | null;
            /**
             * Format: int64
             * @description Distinct blocks that are stored.
             */
            blocks: number;
            /** @description Snapshots with bad blocks, at most 1000. */
            damaged: components["schemas"]["DamagedView"][];
            /**
             * Format: int64
             * @description Bytes on disks and in buckets in all. Null while a store does not answer.
             */
            diskBytes?: number | null;
            /** @description Whether the last three are exact, not scaled from a sample (of more than a million blocks). */
            exact: boolean;
            lastCollection?: components["schemas"]["LastCollectionView"] | null;
            /**
             * Format: int64
             * @description Sum of the sizes of all snapshots' files.
             */
            logicalBytes: number;
            /**
             * Format: int64
             * @description Their bytes before compression.
             */
            rawBytes: number;
            /**
             * Format: int64
             * @description Bytes that are free for reuse inside the database's files.
             */
            reusableBytes: number;
            /**
             * Format: int64
             * @description Snapshots, those in the trash included.
             */
            snapshots: number;
            /**
             * Format: int64
             * @description Their bytes as they are stored.
             */
            storedBytes: number;
            /** @description Where payloads lie. */
            stores: components["schemas"]["StoreView"][];
            /**
             * Format: int64
             * @description Of those, in the trash.
             */
            trashed: number;
            /** @description Verification. */
            verification: components["schemas"]["VerificationView"];
            /**
             * Format: int64
             * @description Backups that are being written now.
             */
            writers: number;
        };
        /** @description The certificate that browsers see. */
        CertificateView: {
            /** @description The host of the public URL is among its names. If not, browsers that use that URL do not see it. */
            coversPublicUrl: boolean;
            /**
             * Format: int64
             * @description Whole days that are left; negative: it ran out, and the appliance's own certificate is shown.
             */
            daysLeft: number;
            /** @description Who issued it. */
            issuer: string;
            /** @description Host names that it is for. */
            names: string[];
            /** @description Valid to, RFC 3339. */
            notAfter: string;
            /** @description Valid from, RFC 3339. */
            notBefore: string;
            /** @description It runs out within three weeks, or did. */
            renew: boolean;
            /** @description When it was uploaded, RFC 3339. */
            uploadedAt: string;
            /** @description Who uploaded it. */
            uploadedBy: string;
        };
        /** @description A chain. */
        ChainView: {
            /**
             * Format: int64
             * @description Number.
             */
            chain: number;
            /** @description No entry will be added. */
            closed: boolean;
            /** @description Its start point. */
            from: components["schemas"]["InstantAt"];
            /** @description Why it ended. */
            reason?: string | null;
            /** @description Its last optime. */
            to: components["schemas"]["InstantAt"];
        };
        /** @description What shall change; what is left out stays. */
        ChangeAccount: {
            /** @description E-mail address; needs the password, and is confirmed by a link that is sent to it. */
            email?: string | null;
            /** @description Name. */
            name?: string | null;
            /** @description The password, for a new address. */
            password?: string | null;
        };
        /** @description What shall change; what is left out stays. */
        ChangeDaemon: {
            /** @description `true` empties it: it takes no new backup, and its heads move one after the other; `false` takes that back. */
            draining?: boolean | null;
            /** @description Labels besides its own, all of them. */
            givenLabels?: string[] | null;
        };
        /** @description A new password. */
        ChangePassword: {
            /** @description The present one. */
            current: string;
            /** @description The new one. */
            new: string;
        };
        /** @description What shall change; what is left out stays. */
        ChangeSettings: {
            /** @description Limits on the agent's sending. */
            bandwidth?: components["schemas"]["BandwidthView"][] | null;
            /** @description Labels that the daemon must have. */
            labels?: string[] | null;
            /**
             * Format: int32
             * @description Hours that a restore link works, 1 to 720.
             */
            linkHours?: number | null;
            /**
             * Format: int32
             * @description Uses of a restore link, 1 to 1000.
             */
            linkUses?: number | null;
            /** @description Member to read from; null lets the agent choose. */
            member?: string | null;
            retention?: components["schemas"]["RetentionView"] | null;
            schedule?: components["schemas"]["ScheduleView"] | null;
        };
        /** @description What of a snapshot can be changed. */
        ChangeSnapshot: {
            /** @description A name for it, at most 200 characters; null takes the one that it has away. */
            label: string | null;
        };
        /** @description What shall change; what is left out stays. */
        ChangeStore: {
            /** @description Name of a new access key. */
            accessKeyId?: string | null;
            /**
             * Format: int64
             * @description Bytes per second in each direction for each process, at most; 0: no limit.
             */
            bandwidthBytesPerSecond?: number | null;
            /** @description `true`: new payloads go there from now on. */
            default?: boolean | null;
            /** @description Its secret. */
            secretAccessKey?: string | null;
            /** @description `active` takes back that it is emptied, `retired` forgets an empty one. */
            state?: string | null;
        };
        /** @description What shall change; what is left out stays. */
        ChangeUser: {
            /** @description Shut the account, or open it again. */
            disabled?: boolean | null;
            /** @description All global roles that the person shall have. */
            globalRoles?: components["schemas"]["RoleName"][] | null;
            /** @description Name. */
            name?: string | null;
            /** @description Remove the second factor: the person has lost it. */
            resetTotp?: boolean;
        };
        /** @description One event; its name is the `event` field of the stream. */
        ChangeView: {
            /** @description Id of the group in which it changed; null: of the appliance, or it is gone. */
            group?: string | null;
            /** @description Id of what changed; empty for `reload` and for what is gone. */
            id: string;
            /**
             * @description `backup`, `restore`, `agent`, `deployment`, `people`, `key`, `audit`; of the appliance also `group`, `user`, `daemon`, `setting`,
             *     `blockstore`, `offsite`; or `reload`: read everything anew.
             */
            kind: string;
            /** @description Name of the replica set, where there is one. */
            rs?: string | null;
        };
        /** @description How a snapshot found out what changed since the one before. */
        ChangesView: {
            /** @description When it was committed, RFC 3339. */
            at: string;
            /**
             * Format: int64
             * @description Extents per GiB of the head's most fragmented file.
             */
            extentsPerGib: number;
            /** @description The first of them: file and offset. */
            firstMiss?: string | null;
            /**
             * Format: int64
             * @description How long the head was held, in milliseconds.
             */
            heldMs: number;
            /**
             * Format: int64
             * @description Those of them that had changed: more than 0 is an alert.
             */
            missed: number;
            /**
             * Format: int64
             * @description Bytes read.
             */
            readBytes: number;
            /** @description Why everything was read; null: only what changed was. */
            refused?: string | null;
            /**
             * Format: int64
             * @description Unchanged blocks that were read and compared all the same.
             */
            sampled: number;
            /** @description Which snapshot. */
            snapshot: string;
            /**
             * Format: int64
             * @description Bytes taken from the snapshot before without being read.
             */
            unchangedBytes: number;
        };
        /** @description What the last verification of a snapshot found. */
        CheckView: {
            /** @description When, RFC 3339. */
            at: string;
            /** @description Files with bad blocks, at most 1000 lines. */
            bad: string[];
            /**
             * Format: int64
             * @description Bad ones.
             */
            badCount: number;
            /**
             * Format: int64
             * @description Blocks read.
             */
            blocks: number;
            /**
             * Format: int64
             * @description Their bytes.
             */
            bytes: number;
            /** @description The snapshot. */
            snapshot: string;
        };
        /** @description A code. */
        Code: {
            /** @description Six digits. */
            code: string;
        };
        /** @description A code of the second factor is needed. */
        CodeNeeded: {
            /** @description Send it with the code to `/sign-ins/code`, within ten minutes. */
            token: string;
        };
        /** @description The link's secret. */
        ConfirmEmail: {
            /** @description As in the link. */
            token: string;
        };
        /** @description A new password, by the link. */
        ConfirmReset: {
            /** @description The new password. */
            password: string;
            /** @description The secret of the link. */
            token: string;
        };
        /** @description The link's secret and a password. */
        ConfirmSignUp: {
            /** @description A password. */
            password: string;
            /** @description The secret of the link. */
            token: string;
        };
        /** @description How far a run is. */
        CopyProgressView: {
            /**
             * Format: int64
             * @description Bytes of the present snapshot that are settled.
             */
            bytes: number;
            /**
             * Format: int64
             * @description Bytes of the present snapshot.
             */
            bytesTotal: number;
            /**
             * Format: int64
             * @description Blocks sent.
             */
            sentBlocks: number;
            /**
             * Format: int64
             * @description Bytes sent.
             */
            sentBytes: number;
            /** @description Snapshot of the source that is being copied. */
            snapshot: string;
            /**
             * Format: int64
             * @description Snapshots done.
             */
            snapshots: number;
            /**
             * Format: int64
             * @description Snapshots to copy.
             */
            snapshotsTotal: number;
        };
        /** @description What a run did. */
        CopyRunView: {
            /**
             * Format: int64
             * @description Snapshots that were copied.
             */
            copied: number;
            /** @description Why it is not complete. */
            error?: string | null;
            /** @description When it ended, RFC 3339. */
            finished: string;
            /**
             * Format: int64
             * @description Snapshots that were there already.
             */
            present: number;
            /**
             * Format: int64
             * @description Blocks that were stored and read back from the target.
             */
            provedBlocks: number;
            /**
             * Format: int64
             * @description Blocks sent.
             */
            sentBlocks: number;
            /**
             * Format: int64
             * @description Bytes sent.
             */
            sentBytes: number;
            /** @description When it began, RFC 3339. */
            started: string;
            /**
             * Format: int64
             * @description Copies that went to the trash.
             */
            trashed: number;
        };
        /** @description An offsite copy. */
        CopyView: {
            /**
             * Format: int64
             * @description Bytes per second, at most.
             */
            bytesPerSecond?: number | null;
            /** @description Whether runs come by themselves. */
            enabled: boolean;
            /**
             * Format: int64
             * @description Distance of two runs, in seconds.
             */
            everySeconds: number;
            /** @description What is copied. */
            filter: components["schemas"]["FilterView"];
            /** @description Id of the group here that what is pulled belongs to. */
            group?: string | null;
            /**
             * Format: int64
             * @description Days that copies are kept.
             */
            keepDays?: number | null;
            /** @description `pull` or `push`. */
            kind: string;
            last?: components["schemas"]["CopyRunView"] | null;
            /** @description Name. */
            name: string;
            /** @description The other side: a URL, or a database's name and where its payloads lie. */
            peer: string;
            progress?: components["schemas"]["CopyProgressView"] | null;
            /** @description `idle`, `asked` or `running`. */
            state: string;
        };
        /** @description Who is signed in. */
        CurrentSession: {
            /** @description When the session ends at the latest, RFC 3339. */
            expires: string;
            /** @description Roles in every group and over the appliance. */
            globalRoles: components["schemas"]["RoleName"][];
            /** @description Groups that the person sees, by name. */
            groups: components["schemas"]["OwnGroup"][];
            /** @description Id of the session. */
            id: string;
            /** @description The person may make groups, by a role or because everyone may. */
            makesGroups: boolean;
            /** @description Where the person signs in: `local`, `oidc` or `ldap`. */
            origin: string;
            /** @description Second factor. */
            totp: components["schemas"]["TotpView"];
            /** @description The person. */
            user: components["schemas"]["PersonView"];
            /** @description Until when restores and deletes are not asked about, RFC 3339. */
            verifiedUntil: string;
        };
        /** @description An oplog entry, by what it touches. */
        CutEntryView: {
            /** @description When. */
            at: components["schemas"]["InstantAt"];
            /**
             * Format: int64
             * @description Operations in it: more than one in a transaction.
             */
            count: number;
            /** @description `insert`, `update`, `delete`, `transaction` or the command's name. */
            kind: string;
            /** @description Namespace. */
            ns: string;
        };
        /** @description An instant, what stands on both sides of it, and what restoring it takes. */
        CutView: {
            /** @description The first entries that would be out, oldest first; at most five. */
            after: components["schemas"]["CutEntryView"][];
            /** @description The last entries that would be in, oldest first; at most five. */
            before: components["schemas"]["CutEntryView"][];
            /**
             * Format: int64
             * @description Number of the chain.
             */
            chain: number;
            /** @description Every history that can serve the instant, the younger first. */
            histories: components["schemas"]["HistoryView"][];
            /** @description What lies in the minute after the instant and would be out, by namespace, the most first. */
            nextMinute: components["schemas"]["LostView"][];
            /** @description There is more in that minute than was counted. */
            nextMinuteTruncated: boolean;
            /**
             * Format: int64
             * @description Their bytes.
             */
            replayBytes: number;
            /**
             * Format: int64
             * @description Oplog entries to replay, to a slice's end.
             */
            replayEntries: number;
            /** @description There is more to replay than was counted. */
            replayTruncated: boolean;
            /** @description Version of the server whose files these are. */
            serverVersion: string;
            /** @description Snapshot that it would be made from. */
            snapshot: string;
            /** @description That snapshot's second, RFC 3339, UTC. */
            snapshotAt: string;
            /**
             * Format: int64
             * @description Bytes of that snapshot's files.
             */
            snapshotBytes: number;
        };
        /** @description A daemon. */
        DaemonView: {
            /**
             * Format: int32
             * @description Share of the machine's processors that was busy within the last seconds, in percent; null: not known.
             */
            busyPercent?: number | null;
            /** @description Why a head cannot leave it, a sentence. */
            drainFault?: string | null;
            /** @description It is being emptied: it takes no new backup and hands its heads over. */
            draining: boolean;
            /** @description The file system that holds its heads: `xfs`, `btrfs`, `ext4`, ...; missing until it has reported. */
            fileSystem?: string | null;
            /** @description What to know and do about that file system, a sentence. */
            fileSystemAdvice?: string | null;
            /**
             * Format: int64
             * @description Bytes that new heads may take.
             */
            freeBytes: number;
            /** @description Those of them that operators gave it; the others are its configuration's and its binaries'. */
            givenLabels: string[];
            /** @description Which. */
            headList: components["schemas"]["HeadView"][];
            /**
             * Format: int64
             * @description Heads that live there.
             */
            heads: number;
            /** @description Id. */
            id: string;
            /** @description Every label that jobs can ask for. */
            labels: string[];
            /** @description When it last said that it lives, RFC 3339, by the server's clock. */
            lastSeen: string;
            /** @description Name. */
            name: string;
            /** @description Ports in use: kill, debug, heads. */
            ports: number[];
            /** @description When it started last, RFC 3339. */
            started: string;
            /**
             * Format: int64
             * @description Bytes that heads may take in all.
             */
            totalBytes: number;
            /**
             * Format: int64
             * @description Bytes that its heads take.
             */
            usedBytes: number;
            /** @description Version. */
            version: string;
        };
        /** @description A snapshot with bad blocks. */
        DamagedView: {
            /** @description When it was committed, RFC 3339. */
            committedAt: string;
            /** @description Group, by name. */
            group: string;
            /** @description Replica set. */
            rs: string;
            /** @description Its id. */
            snapshot: string;
        };
        /** @description The push of a restore to an SFTP target. */
        DeliveryView: {
            /**
             * Format: int64
             * @description Attempts begun.
             */
            attempts: number;
            /**
             * Format: int64
             * @description Bytes per second, lately.
             */
            bytesPerSecond: number;
            /** @description Why it failed, or why it is tried again. */
            error?: string | null;
            /** @description Path of the file at the server; its sums lie beside it, with `.sums` behind. */
            path: string;
            /**
             * Format: int64
             * @description Bytes that the server has acknowledged.
             */
            sentBytes: number;
            /** @description `waiting`, `sending`, `delivered`, `failed` or `cancelled`. */
            state: string;
            /** @description Name of the target. */
            target: string;
            /**
             * Format: int64
             * @description Bytes of the file; null for `tar.gz`, and until sending has begun.
             */
            totalBytes?: number | null;
        };
        /** @description A deployment. */
        DeploymentView: {
            /** @description Agent that looked. */
            agent?: string | null;
            /** @description When it was added, RFC 3339. */
            created: string;
            /** @description The connection string is stored (sealed). */
            credentialsStored: boolean;
            /** @description When the agent looked, RFC 3339: the states are those of then. */
            discovered?: string | null;
            /** @description Its members, `host:port`; before they are known, the hosts of the connection string. */
            hosts: string[];
            /** @description Id. */
            id: string;
            /** @description Its members with their states; empty before an agent looked. */
            members: components["schemas"]["MemberStateView"][];
            /** @description What the agent may and may not do there. */
            privileges: components["schemas"]["PrivilegeView"][];
            /** @description Why it cannot be backed up, and what to do. */
            refusal?: string | null;
            /** @description Name of the replica set, once known. */
            rs?: string | null;
            /** @description `discovering`, `found` or `refused`. */
            state: string;
            /**
             * Format: int64
             * @description Bytes of its data files.
             */
            storageBytes?: number | null;
            /** @description Server version. */
            version?: string | null;
        };
        /** @description A token, shown once. */
        EnrollTokenView: {
            /** @description The one line to run beside the databases. */
            command: string;
            /** @description The token: carries the appliance's addresses and the hash of its CA's key. */
            enrollToken: string;
            /** @description Until when it can be used, RFC 3339. */
            expires: string;
        };
        /** @description What a restore would take. */
        EstimateView: {
            /** @description What that range is based on, or why there is none, a sentence. */
            basis: string;
            /**
             * Format: int64
             * @description Number of its chain.
             */
            chain: number;
            /** @description Name of that daemon. */
            daemon?: string | null;
            /** @description Its feature compatibility version. */
            fcv: string;
            /** @description False: the daemon would refuse it for want of room. */
            fits: boolean;
            /**
             * Format: int64
             * @description Bytes that it has, by its last report; null: no daemon is bound, or nothing is made.
             */
            freeBytes?: number | null;
            /** @description Every history that can serve the instant, the younger first; empty for a snapshot. */
            histories: components["schemas"]["HistoryView"][];
            /**
             * Format: int64
             * @description Their bytes.
             */
            replayBytes: number;
            /**
             * Format: int64
             * @description Oplog entries to replay, to a slice's end.
             */
            replayEntries: number;
            /** @description There is more to replay than was counted. */
            replayTruncated: boolean;
            /**
             * Format: int64
             * @description Bytes that the daemon's disk must have free to make it; 0: nothing is made.
             */
            scratchBytes: number;
            seconds?: components["schemas"]["SecondsView"] | null;
            /** @description Version of the server whose files these are: the mongod to open them with is of the same release. */
            serverVersion: string;
            /** @description Snapshot that it would be made from. */
            snapshot: string;
            /** @description That snapshot's optime. */
            snapshotAt: components["schemas"]["InstantAt"];
            /**
             * Format: int64
             * @description Bytes of the snapshot's files, as they are unpacked.
             */
            snapshotBytes: number;
        };
        /**
         * @description What sort of event.
         * @enum {string}
         */
        EventKindView: "drop" | "index" | "command" | "election";
        /** @description A command or an election; where many lie close to each other, all of one kind. */
        EventView: {
            /** @description When; the first of them. */
            at: components["schemas"]["InstantAt"];
            /** @description Name of the (first) command; empty for an election. */
            command: string;
            /**
             * Format: int64
             * @description How many.
             */
            count: number;
            /** @description What. */
            kind: components["schemas"]["EventKindView"];
            /** @description The namespace that it names. */
            ns: string;
            /**
             * Format: int32
             * @description The second of the last of them.
             */
            to: number;
        };
        /** @description A request for a group's key. */
        ExportKey: {
            /** @description `file` (default) or `html`. */
            form?: components["schemas"]["KeyForm"];
        };
        /** @description A key, exported. */
        ExportedKey: {
            /** @description The file. */
            content: string;
            /** @description MIME type. */
            contentType: string;
            /** @description A name for the file. */
            fileName: string;
            /** @description What names the key beside all that it encrypts. */
            keyId: string;
        };
        /** @description Which snapshots are copied. What is empty lets all through. */
        FilterView: {
            /** @description Groups of the source, by name or id. */
            groups?: string[];
            /** @description Labels of snapshots. */
            labels?: string[];
            /** @description Of each day (UTC) that is over, the last one only. */
            lastOfDay?: boolean;
            /**
             * Format: int32
             * @description Younger ones wait, in seconds.
             */
            minAgeSeconds?: number;
            /** @description Replica sets of the source. */
            replicaSets?: string[];
        };
        /** @description What the provider sent back, as it stands in the address of the page. */
        FinishOidc: {
            /** @description Code; null: the provider refused. */
            code?: string | null;
            /** @description Why the provider refused. */
            error?: string | null;
            /** @description Issuer, where the provider says it (RFC 9207). */
            iss?: string | null;
            /** @description State of the sign-in. */
            state: string;
        };
        /** @description When the room is used up, if it goes on as it went. */
        ForecastView: {
            /**
             * Format: double
             * @description Growth a day, in bytes; negative: it shrinks.
             */
            bytesPerDay: number;
            /**
             * Format: double
             * @description Days until it is full; null: it does not grow, or not within ten years.
             */
            daysToFull?: number | null;
            /**
             * Format: int64
             * @description Bytes that are free where new payloads go.
             */
            freeBytes: number;
            /**
             * Format: int64
             * @description What it was told from, in seconds.
             */
            overSeconds: number;
        };
        /** @description What would become free, counted exactly from the last account of the blockstore. */
        FreedView: {
            /** @description When the account was taken, RFC 3339: the sum is that of then. */
            accountAt: string;
            /**
             * Format: int64
             * @description Bytes that would become free beyond what lies in the trash already.
             */
            storedBytes: number;
            /**
             * Format: int64
             * @description Snapshots that would go and are younger than the account: what they hold is not in the sum.
             */
            younger: number;
        };
        /** @description Instants that no chain covers. */
        GapView: {
            /** @description Last instant before it. */
            from: components["schemas"]["InstantAt"];
            /** @description First instant after it. */
            to: components["schemas"]["InstantAt"];
        };
        /** @description A snapshot that would go to the trash. */
        GoingView: {
            /** @description The optime's second, RFC 3339, UTC. */
            at: string;
            /** @description Id. */
            id: string;
            /**
             * Format: int64
             * @description Bytes that it added to the store when it was taken; blocks that others use too stay.
             */
            storedBytes: number;
        };
        /**
         * @description Who may make a group.
         * @enum {string}
         */
        GroupCreationName: "administrators" | "everyone";
        /** @description The group at a glance. */
        GroupOverviewView: {
            /** @description Its deployments, the worst first. */
            deployments: components["schemas"]["OverviewView"][];
            /** @description What is to be said of the group. */
            verdict: components["schemas"]["GroupVerdictView"];
        };
        /** @description What is to be said of a group. */
        GroupVerdictView: {
            /** @description How many are protected, and how many of them proved. */
            detail: string;
            /** @description The worst of its deployments: `unprotected`, `late`, `off`, `running`, `protected` or `proved`; `off` when it has none. */
            level: components["schemas"]["Level"];
            /** @description One sentence: what is not well, or that everything is protected. */
            sentence: string;
        };
        /** @description A group. */
        GroupView: {
            /** @description When it was made, RFC 3339. */
            created: string;
            /** @description Whether its snapshots are encrypted under a key of its own. */
            encrypted: boolean;
            /** @description Id. */
            id: string;
            /** @description Name. */
            name: string;
        };
        /** @description A head of a daemon. */
        HeadView: {
            /**
             * Format: int64
             * @description Bytes on disk.
             */
            bytes: number;
            /** @description Group of its backup, by name. */
            group: string;
            /** @description Name of the daemon that it is about to move to. */
            movesTo?: string | null;
            /** @description What is being done with it, a verb phrase. */
            phase: string;
            /** @description Replica set. */
            rs: string;
            /** @description State of the backup. */
            state: string;
        };
        /** @description A history that can serve the instant. */
        HistoryView: {
            /**
             * Format: int64
             * @description Number of its chain, as a restore takes it.
             */
            chain: number;
            /** @description What is shown is of this one. */
            chosen: boolean;
            /** @description No entry will be added. */
            closed: boolean;
            /** @description Its start point. */
            from: components["schemas"]["InstantAt"];
            /** @description Why it ended, the rest of a sentence. */
            reason?: string | null;
            /** @description The snapshot in it that would be the base, its second, RFC 3339. */
            snapshotAt: string;
            /** @description Its last optime. */
            to: components["schemas"]["InstantAt"];
        };
        /** @description A collection of a host. */
        HostCollectionView: {
            /**
             * Format: int64
             * @description Documents.
             */
            count?: number | null;
            /**
             * Format: int64
             * @description Bytes of its indexes.
             */
            indexBytes?: number | null;
            /** @description `database.collection`. */
            ns: string;
            /**
             * Format: int64
             * @description Time that reads took since the process started, in milliseconds.
             */
            readMillis: number;
            /**
             * Format: int64
             * @description Bytes of documents, uncompressed.
             */
            sizeBytes?: number | null;
            /**
             * Format: int64
             * @description Bytes of its file.
             */
            storageBytes?: number | null;
            /**
             * Format: int64
             * @description Time that writes took since the process started, in milliseconds.
             */
            writeMillis: number;
        };
        /** @description An event. */
        HostEventView: {
            /** @description When, RFC 3339. */
            at: string;
            /** @description More of it. */
            detail: string;
            /** @description Id of the host. */
            host: string;
            /** @description `restarted`, `becamePrimary`, `becameSecondary`, `down`, `up`, `appeared` or `vanished`. */
            kind: string;
            /** @description `host:port`. */
            name: string;
        };
        /** @description What seldom changes of a host. */
        HostFactsView: {
            /** @description When it was read, RFC 3339. */
            at?: string | null;
            /** @description When its certificate ends, RFC 3339. */
            certificateEnds?: string | null;
            /** @description The largest and the busiest collections. */
            collections: components["schemas"]["HostCollectionView"][];
            /** @description `getCmdLineOpts`, as the server gave it, without secrets. */
            commandLine: Record<string, never>;
            /** @description It asks for no login and listens where other machines reach it. */
            exposed: boolean;
            /** @description `hostInfo`, as the server gave it. */
            hostInfo: Record<string, never>;
            /** @description What monitoring needs, and whether it is allowed. */
            privileges: components["schemas"]["HostPrivilegeView"][];
            /** @description Warnings that the server gave when it started. */
            startupWarnings: string[];
            /** @description It asks for no login. */
            unauthenticated: boolean;
        };
        /** @description One thing that monitoring needs. */
        HostPrivilegeView: {
            /** @description The server's words when not. */
            error?: string | null;
            /** @description Granted. */
            granted: boolean;
            /** @description What for. */
            need: string;
        };
        /** @description A host. */
        HostView: {
            /** @description An arbiter. */
            arbiter: boolean;
            /** @description Id of its sharded cluster. */
            cluster?: string | null;
            /**
             * Format: int64
             * @description It applies writes this much later on purpose, in seconds.
             */
            delaySeconds: number;
            /** @description Why it does not answer, or is read only in part. */
            error?: string | null;
            /** @description When it was no longer found, RFC 3339. */
            gone?: string | null;
            /** @description Hidden from clients. */
            hidden: boolean;
            /** @description `host:port`. */
            host: string;
            /** @description Id. */
            id: string;
            /**
             * Format: double
             * @description How far it is behind, in seconds.
             */
            lagSeconds?: number | null;
            /** @description What to look at: no login needed, a certificate that ends soon, warnings at the start; sentences. */
            notices: string[];
            /** @description What is measured of it besides itself: `disk/sda1`, `db/shop`. */
            parts: string[];
            /**
             * Format: double
             * @description Priority in elections.
             */
            priority?: number | null;
            /** @description `standalone`, `member`, `mongos`, `config` or `shard`. */
            role: string;
            /** @description When its agent reported it last, RFC 3339, by the agent's clock. */
            seen: string;
            /** @description Name of its replica set. */
            set?: string | null;
            /** @description Name of its shard. */
            shard?: string | null;
            /** @description Since when it runs, RFC 3339. */
            started?: string | null;
            /** @description `PRIMARY`, `SECONDARY`, `ARBITER` ...; `UP` of what is no member; `DOWN` when it does not answer. */
            state: string;
            /** @description The member that it copies from. */
            syncsFrom?: string | null;
            /** @description It answered its agent when it was seen last. */
            up: boolean;
            /** @description Server version. */
            version?: string | null;
            /**
             * Format: int64
             * @description Votes in elections.
             */
            votes?: number | null;
        };
        /** @description A cluster time. */
        Instant: {
            /**
             * Format: int32
             * @description Ordinal within the second.
             */
            i: number;
            /**
             * Format: int32
             * @description Seconds since 1970.
             */
            t: number;
        };
        /** @description A cluster time, with its second as RFC 3339. */
        InstantAt: {
            /** @description The second, RFC 3339, UTC. */
            at: string;
            /**
             * Format: int32
             * @description Ordinal within the second.
             */
            i: number;
            /**
             * Format: int32
             * @description Seconds since 1970.
             */
            t: number;
        };
        /** @description What an invitation says to who has it. */
        InvitationFacts: {
            /** @description There is an account of this address: sign in, then accept. */
            accountExists: boolean;
            /** @description Whom. */
            email: string;
            /** @description Until when, RFC 3339. */
            expires: string;
            /** @description Into which group. */
            group: string;
            /** @description Who invites. */
            invitedBy: string;
            /** @description With which roles. */
            roles: components["schemas"]["RoleName"][];
        };
        /** @description The secret of an invitation. */
        InvitationSecret: {
            /** @description As in the link. */
            token: string;
        };
        /** @description An invitation. */
        InvitationView: {
            /** @description When it was made, RFC 3339. */
            created: string;
            /** @description Whom. */
            email: string;
            /** @description Until when it can be used, RFC 3339. */
            expires: string;
            /** @description Id. */
            id: string;
            /** @description Who invites. */
            invitedBy: string;
            /** @description The link for the person; only in the answer that made it, and only when no mail server is set. */
            link?: string | null;
            /** @description It was sent by mail, to the invited address alone; false: no mail server is set, hand the link over yourself. */
            mailed: boolean;
            /** @description Roles that the person will have. */
            roles: components["schemas"]["RoleName"][];
        };
        /**
         * @description What a line is about.
         * @enum {string}
         */
        JobKind: "snapshot" | "restore" | "blockstore" | "offsite" | "move" | "backup";
        /** @description A page of the job queue. */
        JobPage: {
            /** @description Newest first. */
            jobs: components["schemas"]["JobView"][];
            /** @description Give it as `cursor` for the next page; null: this is the last. */
            next?: string | null;
        };
        /** @description How far a job is. */
        JobProgressView: {
            /**
             * Format: int64
             * @description Done.
             */
            done: number;
            /**
             * Format: int64
             * @description In all; 0 when not known.
             */
            total: number;
            /** @description Of what. */
            unit: string;
        };
        /**
         * @description State of a line.
         * @enum {string}
         */
        JobState: "queued" | "running" | "done" | "failed" | "cancelled";
        /** @description A line of the job queue. */
        JobView: {
            /** @description When it was asked for or began, RFC 3339. */
            askedAt: string;
            /** @description Who asked; null: nobody, it is due by itself. */
            askedBy?: string | null;
            /**
             * Format: int64
             * @description How often it was begun; null: not counted.
             */
            attempt?: number | null;
            /** @description Name of the daemon that does it or did it. */
            daemon?: string | null;
            /** @description When it ended, RFC 3339. */
            endedAt?: string | null;
            /** @description The last error, a sentence. */
            error?: string | null;
            /** @description Group, by name; null: the appliance's. */
            group?: string | null;
            /** @description Id: of the request, the restore, the offsite copy, or the backup. */
            id: string;
            /** @description Kind. */
            kind: components["schemas"]["JobKind"];
            /** @description What is being done, a verb phrase; empty: nothing is said. */
            phase: string;
            progress?: components["schemas"]["JobProgressView"] | null;
            /** @description Replica set, where the job is about one. */
            rs?: string | null;
            /** @description State. */
            state: components["schemas"]["JobState"];
            /** @description What is done, a few words. */
            title: string;
        };
        /** @description A request that waits. */
        JoinRequestView: {
            /** @description When, RFC 3339. */
            created: string;
            /** @description Id. */
            id: string;
            /** @description Why. */
            message: string;
            /** @description Who. */
            user: components["schemas"]["PersonView"];
        };
        /**
         * @description How the key shall look.
         * @enum {string}
         */
        KeyForm: "file" | "html";
        /** @description A key. */
        KeyView: {
            /** @description Addresses that it works from; empty: all. */
            addresses: string[];
            /** @description When it was made, RFC 3339. */
            created: string;
            /** @description Until when it works, RFC 3339. */
            expires?: string | null;
            /** @description Id of the one group that it sees; null: all. */
            group?: string | null;
            /** @description Id. */
            id: string;
            /** @description The key itself: only in the answer that made it. */
            key?: string | null;
            /** @description What it is for. */
            label: string;
            /** @description E-mail address of who made it; null: the server itself, or it is no longer known. */
            madeBy?: string | null;
            /**
             * @description Who made it is no longer there: not in the group, without a global role for a key of the appliance, or the account is shut. The key
             *     goes on working, and whoever wrote it down can use it: revoke it when it is not needed.
             */
            makerLeft: boolean;
            /** @description It no longer works. */
            revoked: boolean;
            /** @description What it may do. */
            role: components["schemas"]["RoleName"];
        };
        /** @description The last collection. */
        LastCollectionView: {
            /** @description Blocks that were deleted. */
            deleted: components["schemas"]["AmountView"];
            /** @description RFC 3339. */
            finishedAt: string;
            /**
             * Format: int64
             * @description Bytes that new blocks can use, wherever they lay.
             */
            freedForReuseBytes: number;
            /**
             * Format: int64
             * @description Bytes that the disks got back, packs included.
             */
            freedOnDiskBytes: number;
            /** @description RFC 3339. */
            startedAt: string;
            /**
             * Format: int64
             * @description Snapshots that were removed for good.
             */
            unlinked: number;
        };
        /** @description The last proof: a snapshot that was opened and compared. */
        LastProofView: {
            /** @description When, RFC 3339. */
            at: string;
            /** @description What was done and found. */
            detail: string;
            /** @description It was sound. */
            good: boolean;
            /**
             * Format: int64
             * @description How long opening it took, in seconds.
             */
            seconds: number;
            /** @description Which snapshot. */
            snapshot: string;
        };
        /** @description The newest good snapshot. */
        LastSnapshotView: {
            /** @description The optime's second, RFC 3339, UTC. */
            at: string;
            /** @description Id. */
            id: string;
            /**
             * Format: int64
             * @description Bytes of its files.
             */
            logicalBytes: number;
        };
        /** @description Someone of the directory. */
        LdapPerson: {
            /** @description Distinguished name. */
            dn: string;
            /** @description E-mail address; empty: no sign-in before there is one. */
            email: string;
            /** @description Distinguished names of groups. */
            groups: string[];
            /** @description Name. */
            name: string;
        };
        /**
         * @description How the talk with the directory is kept secret.
         * @enum {string}
         */
        LdapSecurityName: "tls" | "startTls" | "none";
        /** @description What the directory said. */
        LdapTested: {
            /** @description A sentence to show. */
            detail: string;
            person?: components["schemas"]["LdapPerson"] | null;
        };
        /** @description The directory. An empty `host`: none is set. */
        LdapView: {
            /** @description Who gets in. */
            arrivals: components["schemas"]["ArrivalRules"];
            /** @description Distinguished name of the service account; empty: anonymous. */
            bindDn: string;
            /** @description Certificates of CAs of one's own, PEM; null: those of the machine. */
            ca?: string | null;
            /** @description Attribute with the e-mail address. */
            emailAttribute: string;
            /** @description Where groups are searched; empty: only the person's `memberOf` counts. */
            groupBase: string;
            /** @description Finds the person's groups; `{dn}` is the person's distinguished name. */
            groupFilter: string;
            /** @description Host name. */
            host: string;
            /** @description Attribute that never changes and names the person; empty: the distinguished name. */
            idAttribute: string;
            /** @description Attribute with the name. */
            nameAttribute: string;
            /** @description There is a password (it is never shown). */
            passwordSet: boolean;
            /**
             * Format: int32
             * @description Port.
             */
            port: number;
            /** @description How the talk is kept secret. */
            security: components["schemas"]["LdapSecurityName"];
            /** @description Where people are searched. */
            userBase: string;
            /** @description Finds one person; `{user}` is what was typed. */
            userFilter: string;
        };
        /**
         * @description How good or bad. Ordered from the worst.
         * @enum {string}
         */
        Level: "unprotected" | "late" | "off" | "running" | "protected" | "proved";
        /** @description A line. */
        LogLineView: {
            /** @description When, RFC 3339, by the clock of its machine. */
            at: string;
            /** @description Its fields, `name=value`. */
            fields: string;
            /** @description Id; sorts by time. */
            id: string;
            /** @description Its machine or name, and its process. */
            instance: string;
            /** @description `error`, `warn` or `info`. */
            level: string;
            /** @description What it says. */
            message: string;
            /** @description `web`, `ingest`, `web and ingest` or `daemon`. */
            program: string;
            /** @description The part of the program. */
            target: string;
        };
        /** @description A page, newest first. */
        LogPage: {
            /** @description Lines. */
            lines: components["schemas"]["LogLineView"][];
            /** @description Give it as `before` for the next page; null: this is the last. */
            next?: string | null;
        };
        /** @description A server to look at. */
        LookAtServer: {
            /** @description Name or address. */
            host?: string;
            /**
             * Format: int32
             * @description Port; 22 when nothing is said.
             */
            port?: number | null;
        };
        /** @description Seconds that could be restored one by one. */
        LostSecondsView: {
            /**
             * Format: int32
             * @description The first, since 1970.
             */
            from: number;
            /**
             * Format: int32
             * @description The last.
             */
            to: number;
        };
        /** @description What was done to a namespace. */
        LostView: {
            /**
             * Format: int64
             * @description Commands.
             */
            ddl: number;
            /**
             * Format: int64
             * @description Documents deleted.
             */
            deletes: number;
            /**
             * Format: int64
             * @description Documents inserted.
             */
            inserts: number;
            /** @description Namespace; `*`: the rest of them. */
            ns: string;
            /**
             * Format: int64
             * @description Documents changed.
             */
            updates: number;
        };
        /**
         * @description How the talk with the server is kept secret.
         * @enum {string}
         */
        MailSecurity: "tls" | "startTls" | "none";
        /** @description The mail server. An empty `host`: none is set. */
        MailView: {
            /** @description Certificate of a CA of one's own, PEM; null: those of the machine. */
            ca?: string | null;
            /** @description Sender: `name@host` or `Name <name@host>`. */
            from: string;
            /** @description Host name. */
            host: string;
            /** @description There is a password (it is never shown). */
            passwordSet: boolean;
            /**
             * Format: int32
             * @description Port.
             */
            port: number;
            /** @description How the talk is kept secret. */
            security: components["schemas"]["MailSecurity"];
            /** @description User name; null: none is needed. */
            username?: string | null;
        };
        /** @description People of a group there have these roles in a group here. */
        MappingLine: {
            /** @description Id or name of the group here. */
            group: string;
            /** @description Roles there. */
            roles: components["schemas"]["RoleName"][];
            /** @description Name of the group in the claim, or its distinguished name in the directory. */
            theirs: string;
        };
        /** @description One metric. The arrays have one place for each window, null where nothing was measured. */
        MeasurementView: {
            /** @description Largest value of each window. */
            max: (number | null)[];
            /** @description Mean of each window. */
            mean: (number | null)[];
            /** @description Smallest value of each window. */
            min: (number | null)[];
            /** @description Name. */
            name: string;
            /** @description Unit. */
            unit: string;
        };
        /** @description Measurements. */
        MeasurementsView: {
            /** @description Start of the first window, RFC 3339. */
            from: string;
            /** @description `host:port`. */
            host: string;
            /** @description The metrics that were asked for and are known. */
            measurements: components["schemas"]["MeasurementView"][];
            /** @description Out of what the answer was made: `raw`, `minute` or `hour`. */
            resolution: string;
            /**
             * Format: int64
             * @description Start of the first window, seconds since 1970.
             */
            start: number;
            /**
             * Format: int64
             * @description Seconds of a window.
             */
            stepSeconds: number;
            /**
             * Format: int64
             * @description How many windows.
             */
            windows: number;
        };
        /** @description A member of a replica set, as the agent saw it when it looked last. */
        MemberStateView: {
            /**
             * Format: int64
             * @description It applies writes this much later on purpose, in seconds.
             */
            delaySeconds: number;
            /** @description Hidden from clients. */
            hidden: boolean;
            /** @description `host:port`. */
            host: string;
            /** @description `PRIMARY`, `SECONDARY`, `ARBITER`, `DOWN` and what else the server says. */
            state: string;
        };
        /** @description A member. */
        MemberView: {
            /**
             * Format: int64
             * @description Counts the changes of the roles: the member's tag, for `If-Match`.
             */
            revision: number;
            /** @description Roles in this group. */
            roles: components["schemas"]["RoleName"][];
            /** @description Since when, RFC 3339. */
            since: string;
            /** @description The person. */
            user: components["schemas"]["PersonView"];
        };
        /** @description A metric. */
        MetricView: {
            /** @description The chart that shows it: metrics with the same word are drawn together. */
            chart: string;
            /** @description What it says. */
            description: string;
            /** @description `gauge`, `rate`, `ratio` or `derived`. */
            kind: string;
            /** @description Its name. */
            name: string;
            /** @description Where it comes from. */
            origin: string;
            /** @description Of what it is: `host`, `system`, `disk` or `database`. */
            scope: string;
            /** @description The part of a host that it tells of: `server`, `operations`, `storage`, `replication`, `machine`, `disks` or `databases`. */
            section: string;
            /** @description In what it is given: `BYTES`, `SCALAR_PER_SECOND` ... */
            unit: string;
        };
        /** @description The monitoring part of an agent, as it said last. */
        MonitoringAgentView: {
            /** @description It is the one that monitors its group; the others stand by. */
            active: boolean;
            /**
             * Format: int64
             * @description How far its clock is before this server's, in milliseconds.
             */
            clockAheadMillis: number;
            /**
             * Format: int64
             * @description Memory that it holds, in bytes.
             */
            residentBytes: number;
            /**
             * Format: int64
             * @description Bytes of measurements that wait on its disk.
             */
            spoolBytes: number;
        };
        /** @description The settings. */
        MonitoringSettingsBody: {
            /**
             * Format: int64
             * @description Rollups of an hour are kept so long, in seconds.
             */
            hourSeconds: number;
            /**
             * Format: int64
             * @description Rollups of a minute are kept so long, in seconds.
             */
            minuteSeconds: number;
            /**
             * Format: int64
             * @description Each host is read this often, in seconds.
             */
            periodSeconds: number;
            /**
             * Format: int64
             * @description What was read is kept so long, in seconds.
             */
            rawSeconds: number;
        };
        /** @description Where to. */
        MoveBackup: {
            /** @description Id or name of the daemon. */
            daemon: string;
        };
        /** @description What shall be done. */
        NewBlockstoreRequest: {
            /** @enum {string} */
            kind: "collect";
        } | {
            /** @enum {string} */
            kind: "plan";
        } | {
            /** @enum {string} */
            kind: "whatIf";
            /** @description The retention, for every backup. */
            retention: components["schemas"]["RetentionView"];
        } | {
            /** @enum {string} */
            kind: "verify";
            /** @description Id of the snapshot. */
            snapshot?: string | null;
        } | {
            /**
             * Format: int32
             * @description Number of the store that is emptied; 0 is the database.
             */
            from: number;
            /** @enum {string} */
            kind: "move";
            /**
             * Format: int32
             * @description Number of the store that takes all of it.
             */
            to: number;
        };
        /** @description A bucket of an S3-compatible service. */
        NewBucket: {
            /** @description Name of the access key. */
            accessKeyId: string;
            /** @description Bucket, which must exist. */
            bucket: string;
            /** @description Certificates (PEM) that are trusted besides the system's. */
            caPem?: string | null;
            /** @description URL of the service; left out: Amazon's. `http` is used only when it is written here. */
            endpoint?: string | null;
            /** @description Folder in it. */
            prefix?: string;
            /** @description Region, also where the service does not care (then any name). */
            region: string;
            /** @description Its secret; never shown again. */
            secretAccessKey: string;
            /** @description Whether the bucket stands in the host's name. */
            virtualHosted?: boolean;
        };
        /** @description A claim. */
        NewClaim: {
            /** @description The set-up code: `holdfast up` prints it, the server's log and the file `setup.code` in its data directory hold it. */
            code: string;
            /** @description The administrator's e-mail address. */
            email: string;
            /** @description Name of the first group; one that there is already is joined. */
            group: string;
            /** @description The administrator's name. */
            name: string;
            /** @description A password. */
            password: string;
        };
        /** @description An offsite copy to make. `from` or `to`, one of them. */
        NewCopy: {
            /**
             * Format: int64
             * @description Bytes per second from the source, at most.
             */
            bytesPerSecond?: number | null;
            /** @description Runs come only when they are asked for. */
            disabled?: boolean;
            /**
             * Format: int32
             * @description Distance of two runs, in seconds, 60 to 31 days; an hour when nothing is said.
             */
            everySeconds?: number | null;
            /** @description What is copied. */
            filter?: components["schemas"]["FilterView"];
            from?: components["schemas"]["PullFrom"] | null;
            /**
             * Format: int32
             * @description Copies are kept for so many days of their optime (the newest of each replica set for good); as long as at the source when nothing is said.
             */
            keepDays?: number | null;
            /** @description Name: letters, digits, `-`, `_`, `.`. */
            name?: string;
            to?: components["schemas"]["PushTo"] | null;
        };
        /** @description A deployment to look at. */
        NewDeployment: {
            /** @description False: the connection string is not stored, and the agent must have it in its own file. */
            storeCredentials?: boolean;
            /** @description Connection string of one member or more, as the agent's machine reaches them. */
            uri: string;
        };
        /** @description A new group. */
        NewGroup: {
            /**
             * @description Its snapshots are stored encrypted under a key of its own. This cannot be changed later. Slices of the ledger, heads and the agent's
             *     spool are not covered: they need an encrypted disk.
             */
            encrypt?: boolean;
            /** @description Its name: letters, digits, `-`, `_` and `.`; unique. */
            name: string;
        };
        /** @description An invitation to make. */
        NewInvitation: {
            /** @description Whom. */
            email: string;
            /** @description Roles that the person will have; at least one. */
            roles: components["schemas"]["RoleName"][];
        };
        /** @description A request to join. */
        NewJoinRequest: {
            /** @description Name or id of the group. */
            group: string;
            /** @description Why. */
            message?: string;
        };
        /** @description A new key. */
        NewKey: {
            /** @description Addresses that it works from, such as `10.0.0.0/8` or `192.0.2.7/32`; from everywhere when nothing is said. */
            addresses?: string[];
            /**
             * Format: int32
             * @description How many days it works; for ever when nothing is said.
             */
            days?: number | null;
            /** @description What it is for; stands in the audit trail. */
            label: string;
            /** @description What it may do. */
            role: components["schemas"]["RoleName"];
        };
        /** @description A new key of a person. It may do what its role allows, and never more than the person. */
        NewOwnKey: {
            /** @description Addresses that it works from; from everywhere when nothing is said. */
            addresses?: string[];
            /**
             * Format: int32
             * @description How many days it works, 1 to 3650; 365 when nothing is said.
             */
            days?: number | null;
            /** @description Id or name of the one group that it sees; all of the person's when nothing is said. */
            group?: string | null;
            /** @description What it is for; stands in the audit trail. */
            label: string;
            /** @description What it may do. */
            role: components["schemas"]["RoleName"];
        };
        /** @description What to restore, and how it is delivered. `snapshot` or `at`, not both. */
        NewRestore: {
            /** @description An instant of the source's cluster time, inclusive: RFC 3339 (the whole second) or `SECONDS,INCREMENT`. */
            at?: string | null;
            /**
             * Format: int64
             * @description Of two histories that cover the instant the one of this chain; the younger when nothing is said.
             */
            chain?: number | null;
            /** @description `tar`, `tar.zst` (the default) or `tar.gz`. */
            format?: string | null;
            /**
             * Format: int32
             * @description How long the link works, in hours, 1 to 720; the backup's setting (24) when nothing is said.
             */
            hours?: number | null;
            /** @description Why it is made, at most 500 bytes: shown in the history of restores. */
            reason?: string | null;
            /** @description Name of an SFTP target of the group, to which the archive is pushed once it is made; the link works too. */
            sftp?: string | null;
            /** @description Id of a snapshot. */
            snapshot?: string | null;
            /**
             * Format: int32
             * @description How often the whole can be downloaded, 1 to 1000; the backup's setting (3) when nothing is said.
             */
            uses?: number | null;
            /**
             * Format: int32
             * @description Wait so many seconds, at most 60, for the ledger to pass the instant.
             */
            waitSeconds?: number | null;
        };
        /** @description A target to add. */
        NewSftpTarget: {
            /** @description Folder there; the user's home when nothing is said. */
            folder?: string;
            /** @description Name or address of the server. */
            host?: string;
            /** @description The host key that was looked at and confirmed. */
            hostKey?: string;
            /** @description Name, unique in the group: letters, digits, `-`, `_`, `.`. */
            name?: string;
            /**
             * Format: int32
             * @description Port; 22 when nothing is said.
             */
            port?: number | null;
            /** @description User there. */
            user?: string;
        };
        /** @description Who wants an account. */
        NewSignUp: {
            /** @description E-mail address. */
            email: string;
            /** @description Name. */
            name: string;
        };
        /** @description A new store: a folder or a bucket. */
        NewStore: {
            /**
             * Format: int64
             * @description Bytes per second in each direction for each process, at most.
             */
            bandwidthBytesPerSecond?: number | null;
            /** @description New payloads go there from now on. */
            default?: boolean;
            /** @description Absolute path of a folder that web, ingest and daemons all see. */
            directory?: string | null;
            /**
             * Format: int32
             * @description Size of a full pack in MiB, 1 to 64; default 32.
             */
            packMib?: number | null;
            s3?: components["schemas"]["NewBucket"] | null;
        };
        /** @description A new second factor, not in force yet. */
        NewTotp: {
            /** @description The secret in base32, to type in. */
            secret: string;
            /** @description `otpauth://` URI, to show as a QR code. */
            uri: string;
        };
        /** @description An account to make. */
        NewUser: {
            /** @description E-mail address. */
            email: string;
            /** @description Roles in every group and over the appliance. */
            globalRoles?: components["schemas"]["RoleName"][];
            /** @description Name. */
            name: string;
        };
        /** @description A snapshot that can be copied. */
        OffsiteSnapshotView: {
            /** @description When it was committed, RFC 3339. */
            committed: string;
            /** @description Id of its group. */
            group: string;
            /** @description Name of its group. */
            groupName: string;
            /** @description Id. */
            id: string;
            /** @description Id of its backup job. */
            job: string;
            /** @description Name of the key that it is encrypted under, as hex: the puller needs that key. */
            key?: string | null;
            /** @description Label. */
            label?: string | null;
            /**
             * Format: int64
             * @description Bytes of its files.
             */
            logicalBytes: number;
            /** @description It holds every entry at or before this cluster time. */
            optime: components["schemas"]["Instant"];
            /** @description Its replica set. */
            rs: string;
        };
        /** @description A sign-in that was begun. */
        OidcBegun: {
            /** @description Where to send the browser. */
            url: string;
        };
        /** @description What the provider said. */
        OidcTested: {
            /** @description A sentence to show. */
            detail: string;
        };
        /** @description The provider. An empty `issuer`: none is set. */
        OidcView: {
            /** @description Who gets in. */
            arrivals: components["schemas"]["ArrivalRules"];
            /** @description Certificates of CAs of one's own, PEM; null: those of the machine. */
            ca?: string | null;
            /** @description Client id. */
            clientId: string;
            /** @description Claim that names the person's groups; empty: none. */
            groupsClaim: string;
            /** @description Issuer, an URL. */
            issuer: string;
            /** @description What the button says. */
            label: string;
            /** @description Where the provider sends browsers back to: register it there. */
            redirectUri: string;
            /** @description Scopes beyond `openid`. */
            scopes: string[];
            /** @description There is a client secret (it is never shown). */
            secretSet: boolean;
            /** @description Addresses count as verified where the provider says nothing about it. */
            trustEmail: boolean;
        };
        /** @description A deployment at a glance. */
        OverviewView: {
            /** @description Id of the deployment. */
            deployment: string;
            /** @description Its members, `host:port`. */
            hosts: string[];
            lastProof?: components["schemas"]["LastProofView"] | null;
            lastSnapshot?: components["schemas"]["LastSnapshotView"] | null;
            /** @description What is promised, and measured by the verdict. */
            policy: components["schemas"]["PolicyView"];
            protectedFrom?: components["schemas"]["InstantAt"] | null;
            protectedTo?: components["schemas"]["InstantAt"] | null;
            /**
             * Format: int64
             * @description What would be lost now, in seconds: from the last instant that can be restored until now.
             */
            rpoSeconds?: number | null;
            /** @description Name of the replica set, once known. */
            rs?: string | null;
            /** @description State of the backup; null where there is none. */
            state?: string | null;
            unbrokenFrom?: components["schemas"]["InstantAt"] | null;
            /** @description What is to be said of it. */
            verdict: components["schemas"]["VerdictView"];
            /** @description Server version. */
            version?: string | null;
        };
        /** @description A group of the person. */
        OwnGroup: {
            /** @description Id. */
            id: string;
            /** @description The person belongs to it; false: it is seen by a global role. */
            member: boolean;
            /** @description Name. */
            name: string;
            /** @description What the person may do there; global roles are among them. */
            roles: components["schemas"]["RoleName"][];
        };
        /** @description A person, as others see them. */
        PersonView: {
            /** @description E-mail address. */
            email: string;
            /** @description Id. */
            id: string;
            /** @description Name. */
            name: string;
        };
        /** @description How a snapshot is pinned. */
        PinSnapshot: {
            /** @description A name for it; left out or null: the one that it has stays. */
            label?: string | null;
        };
        /** @description The answers of one minute. */
        PingView: {
            /** @description The answers by command, extended JSON. */
            answers: Record<string, never>;
            /** @description When, RFC 3339. */
            at: string;
        };
        /** @description The policies of a group. */
        PoliciesView: {
            /** @description What counts where the group says nothing: the appliance's defaults. */
            appliance: components["schemas"]["PolicyView"];
            /** @description Its backups. */
            backups: components["schemas"]["BackupPolicyView"][];
            /** @description For every backup of the group. */
            policy: components["schemas"]["PolicyView"];
            /**
             * Format: int64
             * @description Counts the changes of the group's policy: its tag, for `If-Match`.
             */
            revision: number;
        };
        /**
         * @description What is promised. A part that is null or left out is not said here: of a backup, the group's counts then; of a group, the appliance's
         *     default; where that says nothing either, nothing is promised.
         */
        PolicyView: {
            /**
             * Format: int32
             * @description Recovery window, in seconds: every second so far back must be restorable. 3,600 to ten years.
             */
            recoveryWindowSeconds?: number | null;
            /**
             * Format: int32
             * @description Time to restore, in seconds: a restore may take so long, told by the last proof. 60 to 604,800.
             */
            restoreSeconds?: number | null;
            /**
             * Format: int32
             * @description Unprotected window, in seconds: writes of so many may be lost. 10 to 604,800; 900 where nothing is said.
             */
            unprotectedSeconds?: number | null;
        };
        /** @description A privilege that backing up needs. */
        PrivilegeView: {
            /** @description The server's words when not. */
            error?: string | null;
            /** @description Granted. */
            granted: boolean;
            /** @description What for. */
            need: string;
        };
        /** @description Body of every error (RFC 9457), `Content-Type: application/problem+json`. */
        Problem: {
            /** @description Stable code in camelCase, for programs. */
            code: string;
            /** @description What happened here and what to do about it. */
            detail: string;
            /** @description Id of the request, as in the server's log. */
            requestId: string;
            /**
             * Format: int32
             * @description HTTP status.
             */
            status: number;
            /** @description One line, the same for every problem of this code. */
            title: string;
        };
        /** @description How far a long piece of work came. */
        ProgressView: {
            /**
             * Format: int64
             * @description Done so far, in `unit`s.
             */
            done: number;
            /**
             * Format: int64
             * @description All there is; 0 when not known yet.
             */
            total: number;
            /** @description `bytes`, `documents`, `entries`, `seconds`. */
            unit: string;
        };
        /** @description How people reach the appliance. */
        PublicUrlView: {
            /** @description What the configuration file says. */
            configured: string;
            /** @description What was set here; null: the configuration file's counts. */
            url?: string | null;
        };
        /** @description Another Holdfast to pull from. */
        PullFrom: {
            /** @description Certificate of its CA, PEM, the only one to trust; the system's when nothing is said. */
            ca?: string | null;
            /** @description Keys of those groups of the source that encrypt, as they were exported there (`HFKEY-...`): without them nothing of theirs comes. */
            groupKeys?: string[];
            /** @description Group here, by id or name, whose keys may see and restore what comes. */
            intoGroup: string;
            /** @description API key there, of the role operator; of one group, or global. */
            key: string;
            /** @description Its web service, `https://...`; plain HTTP to loopback addresses only. */
            url: string;
        };
        /** @description A snapshot that was pulled. */
        PulledView: {
            /** @description The optime's second, RFC 3339, UTC. */
            at: string;
            /** @description Id here. */
            id: string;
            /** @description Label. */
            label?: string | null;
            /**
             * Format: int64
             * @description Bytes of its files.
             */
            logicalBytes: number;
            /**
             * Format: int64
             * @description Bytes that it added to the store, before compression.
             */
            newBytes: number;
            /** @description It holds every entry at or before this cluster time. */
            optime: components["schemas"]["Instant"];
            /** @description Where it came from. */
            origin: string;
            /** @description When it was committed there, RFC 3339. */
            originCommitted: string;
            /** @description Its id there. */
            originId: string;
            /** @description Its replica set. */
            rs: string;
            /** @description Version of the server whose files these are. */
            serverVersion: string;
            /** @description `complete` or `trashed`. */
            state: string;
        };
        /** @description A second blockstore to push to. */
        PushTo: {
            /** @description Name of its database. */
            database: string;
            /** @description Folder of its pack store, as the daemons see it; payloads lie in its database when nothing is said. */
            packs?: string | null;
            /** @description Connection string of its database, as the daemons reach it. */
            uri: string;
        };
        /** @description A run of instants that can be restored, both ends included. */
        RangeView: {
            /** @description First. */
            from: components["schemas"]["InstantAt"];
            /** @description Last. */
            to: components["schemas"]["InstantAt"];
        };
        /** @description Codes that work once each, when the second factor is lost. Shown once. */
        RecoveryCodes: {
            /** @description The codes. */
            recoveryCodes: string[];
        };
        /** @description What verification found. */
        ReportView: {
            /** @description Snapshots that were verified on demand, newest first. */
            checks: components["schemas"]["CheckView"][];
            /** @description Snapshots with bad blocks. */
            damaged: components["schemas"]["DamagedView"][];
            /** @description The rolling verification. */
            verification: components["schemas"]["VerificationView"];
        };
        /** @description How far a request is. */
        RequestProgressView: {
            /**
             * Format: int64
             * @description Done.
             */
            done: number;
            /** @description What is being done. */
            phase: string;
            /**
             * Format: int64
             * @description In all; 0 when not known.
             */
            total: number;
            /** @description Of what. */
            unit: string;
        };
        /** @description What happens next. */
        ResetAsked: {
            /** @description A sentence to show. */
            detail: string;
        };
        /** @description A pulled snapshot to restore, as it is. */
        RestorePulled: {
            /** @description `tar`, `tar.zst` (the default) or `tar.gz`. */
            format?: string | null;
            /**
             * Format: int32
             * @description How long the link works, in hours, 1 to 720; 24 when nothing is said.
             */
            hours?: number | null;
            /** @description Id of the snapshot here. */
            snapshot?: string;
            /**
             * Format: int32
             * @description How often the whole can be downloaded, 1 to 1000; 3 when nothing is said.
             */
            uses?: number | null;
        };
        /** @description A restore. */
        RestoreView: {
            /** @description The optime's second, RFC 3339, UTC. */
            at?: string | null;
            /**
             * Format: int64
             * @description How often a daemon took it up.
             */
            attempt: number;
            /**
             * Format: int64
             * @description Bytes of the archive, once ready; null for `tar.gz`.
             */
            bytes?: number | null;
            /**
             * Format: int64
             * @description Bytes sent so far.
             */
            bytesSent: number;
            /**
             * Format: int64
             * @description The history that was asked for, where two cover the instant.
             */
            chain?: number | null;
            /** @description When it was asked for, RFC 3339. */
            created: string;
            /** @description Who asked: a person's address or a key's name. */
            createdBy: string;
            /** @description Name of the daemon that makes it, or its id where that daemon is gone; null: none is needed. */
            daemon?: string | null;
            delivery?: components["schemas"]["DeliveryView"] | null;
            /** @description When it was made or failed for good, RFC 3339. */
            ended?: string | null;
            /** @description The last error: why it failed, or why an attempt was not the last. */
            error?: string | null;
            /** @description Until when the link works, RFC 3339. */
            expires: string;
            /** @description Format. */
            format: string;
            /** @description Id. */
            id: string;
            /** @description Name of the file. */
            name: string;
            optime?: components["schemas"]["Instant"] | null;
            /** @description What its daemon is doing. */
            phase: string;
            progress?: components["schemas"]["ProgressView"] | null;
            /** @description Why, in the words of who asked; empty: nothing was said. */
            reason: string;
            revoked?: components["schemas"]["RevokedView"] | null;
            /** @description Name of the replica set; null: it was pulled from another appliance. */
            rs?: string | null;
            /** @description Snapshot that it is made from. */
            snapshot: string;
            /** @description When the present or last attempt began, RFC 3339. */
            started?: string | null;
            /** @description `queued`, `running`, `ready`, `failed` or `expired`. */
            state: string;
            /** @description The link. Only in the answer that made it: the appliance keeps no secret that it could show again. */
            url?: string | null;
            /**
             * Format: int64
             * @description Uses of the link.
             */
            uses: number;
            /**
             * Format: int64
             * @description Whole downloads so far, by bytes sent (`tar.gz`: by requests).
             */
            usesSpent: number;
        };
        /** @description A page, newest first. */
        RestoresPage: {
            /** @description Give it as `cursor` for the next page; null: this is the last. */
            next?: string | null;
            /** @description Restores. */
            restores: components["schemas"]["RestoreView"][];
        };
        /** @description Why a resync is wanted. */
        ResyncBackup: {
            /** @description A sentence for the record. */
            reason?: string | null;
        };
        /** @description What a policy would do now. */
        RetentionPreviewView: {
            freed?: components["schemas"]["FreedView"] | null;
            /** @description Snapshots that would go to the trash, oldest first. */
            goes: components["schemas"]["GoingView"][];
            /**
             * Format: int64
             * @description Snapshots that stay.
             */
            kept: number;
            /** @description Seconds that can be restored now and could not be any more. The ledger's entries cannot be brought back. */
            noLonger: components["schemas"]["LostSecondsView"][];
            /** @description Until when the snapshots can be taken out of the trash again, RFC 3339; null: none goes, or no daemon has said. */
            undoUntil?: string | null;
            /** @description Any second from here on stays restorable, RFC 3339: the start of the oplog window. */
            windowFrom: string;
        };
        /** @description What is kept. */
        RetentionView: {
            /**
             * Format: int32
             * @description Daily ones: this many days.
             */
            dailyDays: number;
            /**
             * Format: int32
             * @description Monthly ones: this many months of 30 days.
             */
            monthlyMonths: number;
            /**
             * Format: int32
             * @description Any instant of this many days can be restored.
             */
            oplogWindowDays: number;
            /**
             * Format: int32
             * @description Every snapshot is kept this many hours; default 24.
             */
            recentHours?: number;
            /**
             * Format: int32
             * @description 6-hourly snapshots are kept this many days.
             */
            sixHourlyDays: number;
            /**
             * Format: int32
             * @description Weekly ones: this many weeks.
             */
            weeklyWeeks: number;
        };
        /** @description A link that was taken away by hand. */
        RevokedView: {
            /** @description When, RFC 3339. */
            at: string;
            /** @description Who did it. */
            by: string;
        };
        /**
         * @description What someone may do. `admin`, `operator` and `viewer` are still read, as owner, backup admin and read only.
         * @enum {string}
         */
        RoleName: "owner" | "backupAdmin" | "monitoringAdmin" | "userAdmin" | "readOnly";
        /** @description When snapshots are due. */
        ScheduleView: {
            /**
             * Format: int32
             * @description Distance, in seconds: 60 to 604,800.
             */
            everySeconds: number;
            /**
             * Format: int32
             * @description An extra snapshot is taken when replaying to the newest second is estimated to take longer, in seconds.
             */
            replayDebtSecondsMax?: number;
        };
        /**
         * @description Whose second factor counts.
         * @enum {string}
         */
        SecondFactorName: "here" | "provider";
        /** @description Seconds that it may take, the least and the most. */
        SecondsView: {
            /**
             * Format: int64
             * @description At the best rate that was measured.
             */
            least: number;
            /**
             * Format: int64
             * @description At the worst.
             */
            most: number;
        };
        /** @description A code of the second factor, after a sign-in at the provider. */
        SendCode: {
            /** @description As the answer of the sign-in said. */
            token: string;
            /** @description A code of the second factor, or a recovery code. */
            totp: string;
        };
        /** @description A session. */
        SessionView: {
            /** @description The address it was begun from. */
            address: string;
            /** @description What the browser says of itself. */
            agent: string;
            /** @description When it began, RFC 3339. */
            created: string;
            /** @description It is the one that asks. */
            current: boolean;
            /** @description When it ends at the latest. */
            expires: string;
            /** @description Id. */
            id: string;
            /** @description When it was last used, to a minute. */
            lastSeen: string;
        };
        /** @description The directory to use. */
        SetLdap: {
            /** @description Who gets in. */
            arrivals: components["schemas"]["ArrivalRules"];
            /** @description Distinguished name of the service account; empty: anonymous. */
            bindDn: string;
            /** @description Certificates of CAs of one's own, PEM. */
            ca?: string | null;
            /** @description Attribute with the e-mail address. */
            emailAttribute: string;
            /** @description Where groups are searched; empty: only the person's `memberOf` counts. */
            groupBase: string;
            /** @description Finds the person's groups; `{dn}` is the person's distinguished name. */
            groupFilter: string;
            /** @description Host name; empty: no directory. */
            host: string;
            /** @description Attribute that never changes and names the person; empty: the distinguished name. */
            idAttribute: string;
            /** @description Attribute with the name. */
            nameAttribute: string;
            /** @description Its password; left out: the one that is stored stays. */
            password?: string | null;
            /**
             * Format: int32
             * @description Port.
             */
            port: number;
            /** @description How the talk is kept secret. */
            security: components["schemas"]["LdapSecurityName"];
            /** @description Where people are searched. */
            userBase: string;
            /** @description Finds one person; `{user}` is what was typed. */
            userFilter: string;
        };
        /** @description The mail server to use. */
        SetMail: {
            /** @description Certificate of a CA of one's own, PEM. */
            ca?: string | null;
            /** @description Sender: `name@host` or `Name <name@host>`. */
            from: string;
            /** @description Host name; empty: send no mail. */
            host: string;
            /** @description Password; left out: the one that is stored stays. */
            password?: string | null;
            /**
             * Format: int32
             * @description Port.
             */
            port: number;
            /** @description How the talk is kept secret. */
            security: components["schemas"]["MailSecurity"];
            /** @description User name. */
            username?: string | null;
        };
        /** @description The provider to use. */
        SetOidc: {
            /** @description Who gets in. */
            arrivals: components["schemas"]["ArrivalRules"];
            /** @description Certificates of CAs of one's own, PEM. */
            ca?: string | null;
            /** @description Client id. */
            clientId: string;
            /** @description Claim that names the person's groups; empty: none. */
            groupsClaim: string;
            /** @description Issuer, an URL; empty: no provider. */
            issuer: string;
            /** @description What the button says, such as `Example ID`. */
            label: string;
            /** @description Scopes beyond `openid`. */
            scopes: string[];
            /** @description Client secret; left out: the one that is stored stays; empty: a public client. */
            secret?: string | null;
            /** @description Addresses count as verified where the provider says nothing about it. */
            trustEmail: boolean;
        };
        /** @description How people shall reach it. */
        SetPublicUrl: {
            /** @description Scheme, host and port: `https://backup.example.com`. Null: as the configuration file says. */
            url?: string | null;
        };
        /** @description Roles for someone. */
        SetRoles: {
            /** @description All that the person shall have there; at least one. */
            roles: components["schemas"]["RoleName"][];
        };
        /** @description A certificate with its key. */
        SetTls: {
            /** @description Certificates, PEM: its own first, then those of the authorities between. */
            chain?: string;
            /** @description The private key, PEM, without a password. It is stored sealed and never shown. */
            key?: string;
        };
        /** @description Settings of a backup. */
        SettingsView: {
            /** @description Limits on the agent's sending. */
            bandwidth: components["schemas"]["BandwidthView"][];
            /** @description Labels that the daemon must have. */
            labels: string[];
            /**
             * Format: int32
             * @description Hours that a restore link works.
             */
            linkHours: number;
            /**
             * Format: int32
             * @description Uses of a restore link.
             */
            linkUses: number;
            /** @description Member to read from; null: the agent chooses. */
            member?: string | null;
            /** @description What is kept. */
            retention: components["schemas"]["RetentionView"];
            /** @description When snapshots are due. */
            schedule: components["schemas"]["ScheduleView"];
        };
        /** @description How far the set-up is. */
        SetupView: {
            /** @description An administrator has an account. */
            claimed: boolean;
            /** @description People of a directory sign in with their name and password there. */
            ldap: boolean;
            /** @description What the button of the sign-in provider says; null: there is none. */
            oidc?: string | null;
            /**
             * Format: int32
             * @description Shortest password, in characters.
             */
            passwordCharsMin: number;
            /** @description Who may make an account: `open`, `invitation` or `closed`. */
            signUp: string;
            /** @description Version of the server. */
            version: string;
        };
        /** @description The public key with which the appliance logs in for a group. */
        SftpKeyView: {
            /** @description The line for the user's `authorized_keys` at the server. */
            publicKey: string;
        };
        /** @description A target. */
        SftpTargetView: {
            /** @description When it was added, RFC 3339. */
            created: string;
            /** @description Who added it. */
            createdBy: string;
            /** @description Fingerprint of the host key that was confirmed. */
            fingerprint: string;
            /** @description Folder there. */
            folder: string;
            /** @description Name or address of the server. */
            host: string;
            /** @description Name. */
            name: string;
            /**
             * Format: int32
             * @description Port.
             */
            port: number;
            /** @description User there. */
            user: string;
        };
        /** @description What a trial found. */
        SftpTrial: {
            /**
             * Format: int64
             * @description Bytes free in the folder; null: the server does not say.
             */
            freeBytes?: number | null;
        };
        /** @description What a server shows. */
        ShownHostKey: {
            /** @description Fingerprint, as `ssh-keygen -lf` prints it at the server. */
            fingerprint: string;
            /** @description Its host key, as a line of OpenSSH: send it back with the target once its fingerprint was compared. */
            hostKey: string;
        };
        /** @description Signing in. */
        SignIn: {
            /** @description E-mail address; where a directory is set, also the name that it knows. */
            email: string;
            /** @description Password. */
            password: string;
            /** @description A code of the second factor, or a recovery code. */
            totp?: string | null;
        };
        /**
         * @description Who may make an account.
         * @enum {string}
         */
        SignUpName: "open" | "invitation" | "closed";
        /** @description How a request for a snapshot stands. */
        SnapshotRequestView: {
            /** @description Why it failed. */
            error?: string | null;
            /** @description The snapshot, when done. */
            snapshot?: string | null;
            /** @description `queued`, `running`, `done` or `failed`. */
            state: string;
        };
        /** @description The request was noted. */
        SnapshotRequested: {
            /** @description Id of the request. */
            request: string;
        };
        /** @description A snapshot. */
        SnapshotView: {
            /** @description The optime's second, RFC 3339, UTC. */
            at: string;
            /**
             * Format: int64
             * @description Number of the chain that a replay from it follows.
             */
            chain: number;
            /** @description Whether it is encrypted under its group's key. */
            encrypted: boolean;
            /** @description Id. */
            id: string;
            /** @description Label. */
            label?: string | null;
            /**
             * Format: int64
             * @description Bytes of its files.
             */
            logicalBytes: number;
            /**
             * Format: int64
             * @description Bytes that it added to the store, before compression.
             */
            newBytes: number;
            /** @description It holds every entry at or before this cluster time. */
            optime: components["schemas"]["Instant"];
            /** @description Pinned by a user: kept whatever the schedule says. */
            pinned: boolean;
            /** @description `good` (it was opened and compared), `failed`, `damaged` (a block is bad), or `none` (not looked at, or a newer one was). */
            proof: string;
            /** @description Version of the server whose files these are. */
            serverVersion: string;
            /**
             * Format: int64
             * @description Stored bytes that other snapshots need too; as `uniqueBytes`.
             */
            sharedBytes?: number | null;
            /** @description `complete` or `trashed`. */
            state: string;
            /**
             * Format: int64
             * @description Bytes that it added to the store, compressed.
             */
            storedBytes: number;
            /**
             * Format: double
             * @description How long writing it took, from the start of reading to the commit, in seconds.
             */
            tookSeconds: number;
            /** @description When it was put into the trash, RFC 3339. */
            trashedAt?: string | null;
            /**
             * @description Until when it can be taken out of the trash for certain, RFC 3339; afterwards a collection removes it for good. Null outside the
             *     trash, and before a daemon has said how long it keeps what lies there.
             */
            trashedUntil?: string | null;
            /**
             * Format: int64
             * @description Stored bytes that no other snapshot needs: freed if it alone were gone. As of the last account; null when it is younger.
             */
            uniqueBytes?: number | null;
        };
        /** @description What a start may ask for. */
        StartBackup: {
            /** @description Labels that the daemon must have. */
            daemonLabels?: string[];
        };
        /** @description A snapshot that does not go. */
        StaysView: {
            /** @description The optime's second, RFC 3339, UTC. */
            at: string;
            /** @description Label. */
            label?: string | null;
            /** @description Id. */
            snapshot: string;
            /** @description Why it stays, a few words. */
            why: string;
        };
        /** @description A payload store. */
        StoreView: {
            /**
             * Format: int64
             * @description Bytes per second in each direction for each process, at most.
             */
            bandwidthBytesPerSecond?: number | null;
            /**
             * Format: int64
             * @description Bytes on the disk or in the bucket. Null when not asked for, or when the store does not answer.
             */
            bytes?: number | null;
            /** @description Whether new payloads go there. */
            default: boolean;
            /** @description URL of the service. */
            endpoint?: string | null;
            /** @description Why it cannot be used now by this process. */
            fault?: string | null;
            /** @description `database`, `directory` or `s3`. */
            kind: string;
            /** @description The folder, or bucket and folder in it. */
            location?: string | null;
            /**
             * Format: int32
             * @description Its number; 0 is the blockstore's database.
             */
            number: number;
            /**
             * Format: int32
             * @description Bytes of a full pack.
             */
            packBytes?: number | null;
            /**
             * Format: int64
             * @description Packs that lie there.
             */
            packs?: number | null;
            /** @description `active`, `draining` (being emptied) or `retired`. */
            state: string;
        };
        /** @description A request for a snapshot. */
        TakeSnapshot: {
            /** @description A name for it. */
            label?: string | null;
            /** @description Keep it until it is unpinned. */
            pin?: boolean;
        };
        /** @description Which backup, again. */
        Terminate: {
            /** @description The name of the replica set, typed by whoever wants this. */
            name: string;
        };
        /** @description What giving a backup up takes away, before or after it was done. */
        TerminationView: {
            /**
             * Format: int64
             * @description Stored bytes that become free when they are gone for good; null before the first collection of the blockstore.
             */
            freesBytes?: number | null;
            /**
             * Format: int64
             * @description Snapshots that go to the trash, or lie there.
             */
            goes: number;
            /** @description What can be restored now, and no longer when its snapshots are gone. */
            ranges: components["schemas"]["RangeView"][];
            /** @description State of the backup; `terminated` when it was done. */
            state: string;
            /** @description Snapshots that stay until they are unpinned. */
            stays: components["schemas"]["StaysView"][];
            /** @description Until when it can be taken back for certain, RFC 3339; null while no daemon has said how long it keeps the trash. */
            undoUntil?: string | null;
        };
        /** @description What to try. */
        TestLdap: {
            /** @description Someone to search for, as they would type it; null: nobody. */
            user?: string | null;
        };
        /** @description Whom to send a test to. */
        TestMail: {
            /** @description E-mail address. */
            to: string;
        };
        /** @description A timeline. */
        TimelineView: {
            /** @description The newest entries are not counted yet: what was written last is missing here, and comes. */
            behind: boolean;
            /**
             * Format: int32
             * @description Width of a bin, in seconds: the smallest of which the span has at most 600.
             */
            binSeconds: number;
            /** @description Operations, bins without any left out. */
            bins: components["schemas"]["BinView"][];
            /** @description Chains. */
            chains: components["schemas"]["ChainView"][];
            /** @description Commands and elections: 500 one by one, more of them by kind and bin. */
            events: components["schemas"]["EventView"][];
            /** @description Gaps between chains. */
            gaps: components["schemas"]["GapView"][];
            /** @description What can be restored. */
            ranges: components["schemas"]["RangeView"][];
        };
        /** @description What browsers see. */
        TlsView: {
            certificate?: components["schemas"]["CertificateView"] | null;
            /** @description Host of the public URL. */
            publicHost: string;
        };
        /**
         * @description Who needs a second factor.
         * @enum {string}
         */
        TotpName: "off" | "optional" | "globalRoles" | "all";
        /** @description The second factor. */
        TotpView: {
            /** @description There is one. */
            enabled: boolean;
            /** @description Recovery codes that are left. */
            recoveryCodes: number;
            /** @description The policy asks for one: without it only the account can be used. */
            required: boolean;
        };
        /** @description A set-up code to look at. */
        TriedCode: {
            /** @description As it is typed. */
            code: string;
        };
        /** @description A new account. */
        UserMade: {
            /** @description The link by which the person sets a password; shown once, and only when no mail server is set. */
            link?: string | null;
            /** @description It was sent by mail, to the person alone; false: no mail server is set, hand the link over yourself. */
            mailed: boolean;
            /** @description The account. */
            user: components["schemas"]["UserView"];
        };
        /** @description A page of accounts. */
        UserPage: {
            /** @description Give it as `cursor` for the next page; null: this is the last. */
            next?: string | null;
            /** @description By address. */
            users: components["schemas"]["UserView"][];
        };
        /** @description An account. */
        UserView: {
            /** @description When it was made, RFC 3339. */
            created: string;
            /** @description It is shut: it cannot sign in. */
            disabled: boolean;
            /** @description E-mail address. */
            email: string;
            /** @description Roles in every group and over the appliance. */
            globalRoles: components["schemas"]["RoleName"][];
            /** @description Id. */
            id: string;
            /** @description Name. */
            name: string;
            /** @description Where the person signs in: `local`, `oidc` or `ldap`. */
            origin: string;
            /**
             * Format: int64
             * @description Counts the changes of name, address, roles and standing: the account's tag, for `If-Match`.
             */
            revision: number;
            /** @description There is a second factor. */
            totp: boolean;
        };
        /** @description What is to be said of a deployment. */
        VerdictView: {
            /** @description What to do next; null when nothing is to be done. */
            action?: string | null;
            /** @description `unprotected`, `late`, `off`, `running`, `protected` or `proved`. */
            level: components["schemas"]["Level"];
            /** @description One sentence. */
            sentence: string;
            /** @description Since when, RFC 3339. */
            since?: string | null;
        };
        /** @description Verification. */
        VerificationView: {
            /** @description Every block was read back since then, RFC 3339; null: some never was. */
            allSince?: string | null;
            /**
             * Format: int32
             * @description Shares of the store that were never read back, of 256.
             */
            never: number;
        };
        /** @description Proving again who one is: the code when there is a second factor, else the password. */
        Verify: {
            /** @description Password. */
            password?: string | null;
            /** @description A code of the second factor, or a recovery code. */
            totp?: string | null;
        };
        /** @description Which retention to ask about. */
        WhatIf: {
            /** @description The retention, for every backup. */
            retention: components["schemas"]["RetentionView"];
        };
        /** @description What that retention would free. */
        WhatIfView: {
            /** @description The account that it was computed from, RFC 3339. */
            accountAt: string;
            /**
             * Format: int64
             * @description How many.
             */
            count: number;
            /** @description Freed in all, with what lies in the trash already. */
            freed: components["schemas"]["AmountView"];
            /** @description Snapshots that would go, those in the trash not counted; ids, at most 1000. */
            snapshots: string[];
            /**
             * Format: int64
             * @description Snapshots that are younger than the account and would go: what they hold is not in the sum.
             */
            younger: number;
        };
    };
    responses: never;
    parameters: never;
    requestBodies: never;
    headers: never;
    pathItems: never;
}
export type $defs = Record<string, never>;
export interface operations {
    change_account: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["ChangeAccount"];
            };
        };
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["AccountChanged"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    list_own_keys: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["KeyView"][];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    create_own_key: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["NewOwnKey"];
            };
        };
        responses: {
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["KeyView"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    revoke_own_key: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description id of the key */
                key: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    confirm_email: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["ConfirmEmail"];
            };
        };
        responses: {
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    leave_group: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description id or name */
                group: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    change_password: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["ChangePassword"];
            };
        };
        responses: {
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    list_sessions: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SessionView"][];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    end_other_sessions: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    end_session: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description id */
                session: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    begin_totp: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["BeginTotp"];
            };
        };
        responses: {
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["NewTotp"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    remove_totp: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    confirm_totp: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["Code"];
            };
        };
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["RecoveryCodes"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    renew_recovery: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["RecoveryCodes"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    list_global_keys: {
        parameters: {
            query?: {
                /** @description As the `Link` of the page before says. */
                cursor?: string;
                /** @description Elements of the page, 1 to 500; 500 when nothing is said. */
                limit?: number;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["KeyView"][];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    create_global_key: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["NewKey"];
            };
        };
        responses: {
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["KeyView"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    revoke_global_key: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description id of the key */
                key: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    all_audit: {
        parameters: {
            query?: {
                /** @description As the page before said. */
                cursor?: string;
                /** @description Entries of the page, 1 to 500; 100 when nothing is said. */
                limit?: number;
                /** @description Of this person or key alone. */
                who?: string;
                /** @description `json` (a page), `lines` or `csv` (all of it, as a file). */
                format?: "json" | "lines" | "csv";
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["AuditPage"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    show_blockstore: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["BlockstoreView"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    show_history: {
        parameters: {
            query?: {
                /** @description From here, RFC 3339; a week ago when nothing is said. */
                from?: string;
                /** @description To here; now when nothing is said. */
                to?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["BlockstoreHistoryView"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    show_report: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ReportView"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    list_blockstore_requests: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["BlockstoreRequestView"][];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    create_blockstore_request: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["NewBlockstoreRequest"];
            };
        };
        responses: {
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["BlockstoreRequestView"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    show_blockstore_request: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description id of the request */
                request: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["BlockstoreRequestView"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    cancel_blockstore_request: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description id of the request */
                request: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    list_stores: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["StoreView"][];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    add_store: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["NewStore"];
            };
        };
        responses: {
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["StoreView"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    change_store: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description number of the store */
                number: number;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["ChangeStore"];
            };
        };
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["StoreView"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    what_if: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["WhatIf"];
            };
        };
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["WhatIfView"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    list_daemons: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["DaemonView"][];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    change_daemon: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description id or name */
                daemon: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["ChangeDaemon"];
            };
        };
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["DaemonView"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    download_diagnostics: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description a tar.gz */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/gzip": number[];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    appliance_events: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "text/event-stream": components["schemas"]["ChangeView"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    list_groups: {
        parameters: {
            query?: {
                /** @description As the `Link` of the page before says. */
                cursor?: string;
                /** @description Elements of the page, 1 to 500; 500 when nothing is said. */
                limit?: number;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["GroupView"][];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    create_group: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["NewGroup"];
            };
        };
        responses: {
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["GroupView"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    list_agents: {
        parameters: {
            query?: {
                /** @description As the `Link` of the page before says. */
                cursor?: string;
                /** @description Elements of the page, 1 to 500; 500 when nothing is said. */
                limit?: number;
            };
            header?: never;
            path: {
                /** @description id or name */
                group: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["AgentView"][];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    revoke_agent: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description id or name */
                group: string;
                /** @description id */
                agent: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    list_group_keys: {
        parameters: {
            query?: {
                /** @description As the `Link` of the page before says. */
                cursor?: string;
                /** @description Elements of the page, 1 to 500; 500 when nothing is said. */
                limit?: number;
            };
            header?: never;
            path: {
                /** @description id or name */
                group: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["KeyView"][];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    create_group_key: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description id or name */
                group: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["NewKey"];
            };
        };
        responses: {
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["KeyView"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    revoke_group_key: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description id or name */
                group: string;
                /** @description id of the key */
                key: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    group_audit: {
        parameters: {
            query?: {
                /** @description As the page before said. */
                cursor?: string;
                /** @description Entries of the page, 1 to 500; 100 when nothing is said. */
                limit?: number;
                /** @description Of this person or key alone. */
                who?: string;
                /** @description `json` (a page), `lines` or `csv` (all of it, as a file). */
                format?: "json" | "lines" | "csv";
            };
            header?: never;
            path: {
                /** @description id or name */
                group: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["AuditPage"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    list_backups: {
        parameters: {
            query?: {
                /** @description As the `Link` of the page before says. */
                cursor?: string;
                /** @description Elements of the page, 1 to 500; 500 when nothing is said. */
                limit?: number;
            };
            header?: never;
            path: {
                /** @description id or name */
                group: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["BackupView"][];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    show_backup: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description id or name */
                group: string;
                /** @description name of the replica set */
                rs: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["BackupView"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    change_settings: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description id or name */
                group: string;
                /** @description name of the replica set */
                rs: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["ChangeSettings"];
            };
        };
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SettingsView"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    show_cut: {
        parameters: {
            query: {
                /** @description The instant, inclusive: RFC 3339 (the whole second) or `SECONDS,INCREMENT`. */
                at: string;
                /** @description Of two histories that cover the instant the one of this chain; the younger when nothing is said. */
                chain?: number;
            };
            header?: never;
            path: {
                /** @description id or name */
                group: string;
                /** @description name of the replica set */
                rs: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["CutView"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    move_backup: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description id or name */
                group: string;
                /** @description name of the replica set */
                rs: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["MoveBackup"];
            };
        };
        responses: {
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["BackupView"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    set_backup_policy: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description id or name */
                group: string;
                /** @description name of the replica set */
                rs: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["PolicyView"];
            };
        };
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["BackupPolicyView"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    list_restores: {
        parameters: {
            query?: {
                /** @description As the `Link` of the page before says. */
                cursor?: string;
                /** @description Elements of the page, 1 to 500; 500 when nothing is said. */
                limit?: number;
            };
            header?: never;
            path: {
                /** @description id or name */
                group: string;
                /** @description name of the replica set */
                rs: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["RestoreView"][];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    create_restore: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description id or name */
                group: string;
                /** @description name of the replica set */
                rs: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["NewRestore"];
            };
        };
        responses: {
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["RestoreView"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    estimate_restore: {
        parameters: {
            query?: {
                /** @description Id of a snapshot. */
                snapshot?: string;
                /** @description An instant, inclusive: RFC 3339 (the whole second) or `SECONDS,INCREMENT`. */
                at?: string;
                /** @description Of two histories that cover the instant the one of this chain; the younger when nothing is said. */
                chain?: number;
            };
            header?: never;
            path: {
                /** @description id or name */
                group: string;
                /** @description name of the replica set */
                rs: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["EstimateView"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    resync_backup: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description id or name */
                group: string;
                /** @description name of the replica set */
                rs: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["ResyncBackup"];
            };
        };
        responses: {
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["BackupView"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    preview_retention: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description id or name */
                group: string;
                /** @description name of the replica set */
                rs: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["RetentionView"];
            };
        };
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["RetentionPreviewView"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    list_snapshots: {
        parameters: {
            query?: {
                /** @description As the `Link` of the page before says. */
                cursor?: string;
                /** @description Elements of the page, 1 to 500; 500 when nothing is said. */
                limit?: number;
            };
            header?: never;
            path: {
                /** @description id or name */
                group: string;
                /** @description name of the replica set */
                rs: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SnapshotView"][];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    take_snapshot: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description id or name */
                group: string;
                /** @description name of the replica set */
                rs: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["TakeSnapshot"];
            };
        };
        responses: {
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SnapshotRequested"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    show_snapshot_request: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description id or name */
                group: string;
                /** @description name of the replica set */
                rs: string;
                /** @description id of the request */
                request: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SnapshotRequestView"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    show_snapshot: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description id or name */
                group: string;
                /** @description name of the replica set */
                rs: string;
                /** @description id of the snapshot */
                snapshot: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SnapshotView"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    delete_snapshot: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description id or name */
                group: string;
                /** @description name of the replica set */
                rs: string;
                /** @description id of the snapshot */
                snapshot: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    label_snapshot: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description id or name */
                group: string;
                /** @description name of the replica set */
                rs: string;
                /** @description id of the snapshot */
                snapshot: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["ChangeSnapshot"];
            };
        };
        responses: {
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    pin_snapshot: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description id or name */
                group: string;
                /** @description name of the replica set */
                rs: string;
                /** @description id of the snapshot */
                snapshot: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["PinSnapshot"];
            };
        };
        responses: {
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    restore_from_trash: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description id or name */
                group: string;
                /** @description name of the replica set */
                rs: string;
                /** @description id of the snapshot */
                snapshot: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    unpin_snapshot: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description id or name */
                group: string;
                /** @description name of the replica set */
                rs: string;
                /** @description id of the snapshot */
                snapshot: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    start_backup: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description id or name */
                group: string;
                /** @description name of the replica set */
                rs: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["StartBackup"];
            };
        };
        responses: {
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["BackupView"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    stop_backup: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description id or name */
                group: string;
                /** @description name of the replica set */
                rs: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["BackupView"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    show_termination: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description id or name */
                group: string;
                /** @description name of the replica set */
                rs: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["TerminationView"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    terminate_backup: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description id or name */
                group: string;
                /** @description name of the replica set */
                rs: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["Terminate"];
            };
        };
        responses: {
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["TerminationView"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    take_back_termination: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description id or name */
                group: string;
                /** @description name of the replica set */
                rs: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["TerminationView"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    show_timeline: {
        parameters: {
            query?: {
                /** @description From here, RFC 3339 or `SECONDS,INCREMENT`; an hour ago when nothing is said. */
                from?: string;
                /** @description To here, inclusive; now when nothing is said. */
                to?: string;
            };
            header?: never;
            path: {
                /** @description id or name */
                group: string;
                /** @description name of the replica set */
                rs: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["TimelineView"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    list_deployments: {
        parameters: {
            query?: {
                /** @description As the `Link` of the page before says. */
                cursor?: string;
                /** @description Elements of the page, 1 to 500; 500 when nothing is said. */
                limit?: number;
            };
            header?: never;
            path: {
                /** @description id or name */
                group: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["DeploymentView"][];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    add_deployment: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description id or name */
                group: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["NewDeployment"];
            };
        };
        responses: {
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["DeploymentView"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    show_deployment: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description id or name */
                group: string;
                /** @description id */
                deployment: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["DeploymentView"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    remove_deployment: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description id or name */
                group: string;
                /** @description id */
                deployment: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    look_again: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description id or name */
                group: string;
                /** @description id */
                deployment: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["DeploymentView"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    create_enroll_token: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description id or name */
                group: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["EnrollTokenView"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    events: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description id or name */
                group: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "text/event-stream": components["schemas"]["ChangeView"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    list_host_events: {
        parameters: {
            query?: {
                /** @description From here, RFC 3339; a day ago when nothing is said. */
                from?: string;
                /** @description Up to here; now when nothing is said. */
                to?: string;
                /** @description Of this host alone: its id. */
                host?: string;
            };
            header?: never;
            path: {
                /** @description id or name */
                group: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["HostEventView"][];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    list_hosts: {
        parameters: {
            query?: {
                /** @description As the `Link` of the page before says. */
                cursor?: string;
                /** @description Elements of the page, 1 to 500; 500 when nothing is said. */
                limit?: number;
            };
            header?: never;
            path: {
                /** @description id or name */
                group: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["HostView"][];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    show_host: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description id or name */
                group: string;
                /** @description id */
                host: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["HostView"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    show_facts: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description id or name */
                group: string;
                /** @description id */
                host: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["HostFactsView"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    show_measurements: {
        parameters: {
            query?: {
                /** @description Names of metrics, with commas between them; nothing: all of the host or part. */
                metrics?: string;
                /** @description From here, RFC 3339; an hour ago when nothing is said. */
                from?: string;
                /** @description Up to here; now when nothing is said. */
                to?: string;
                /** @description Seconds of a window; made coarser where what is kept of that time is coarser. Nothing: what fits. */
                stepSeconds?: number;
                /** @description A disk or database of the host: `disk/sda1`, `db/shop`; nothing: the host itself. */
                part?: string;
            };
            header?: never;
            path: {
                /** @description id or name */
                group: string;
                /** @description id */
                host: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["MeasurementsView"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    list_pings: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description id or name */
                group: string;
                /** @description id */
                host: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["PingView"][];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    list_invitations: {
        parameters: {
            query?: {
                /** @description As the `Link` of the page before says. */
                cursor?: string;
                /** @description Elements of the page, 1 to 500; 500 when nothing is said. */
                limit?: number;
            };
            header?: never;
            path: {
                /** @description id or name */
                group: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["InvitationView"][];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    create_invitation: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description id or name */
                group: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["NewInvitation"];
            };
        };
        responses: {
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["InvitationView"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    revoke_invitation: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description id or name */
                group: string;
                /** @description id */
                invitation: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    list_join_requests: {
        parameters: {
            query?: {
                /** @description As the `Link` of the page before says. */
                cursor?: string;
                /** @description Elements of the page, 1 to 500; 500 when nothing is said. */
                limit?: number;
            };
            header?: never;
            path: {
                /** @description id or name */
                group: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["JoinRequestView"][];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    answer_join_request: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description id or name */
                group: string;
                /** @description id */
                request: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["AnswerJoinRequest"];
            };
        };
        responses: {
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    export_key: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description id or name */
                group: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["ExportKey"];
            };
        };
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ExportedKey"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    list_members: {
        parameters: {
            query?: {
                /** @description As the `Link` of the page before says. */
                cursor?: string;
                /** @description Elements of the page, 1 to 500; 500 when nothing is said. */
                limit?: number;
            };
            header?: never;
            path: {
                /** @description id or name */
                group: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["MemberView"][];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    set_roles: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description id or name */
                group: string;
                /** @description id of the person */
                user: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["SetRoles"];
            };
        };
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["MemberView"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    remove_member: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description id or name */
                group: string;
                /** @description id of the person */
                user: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    show_open_metrics: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description id or name */
                group: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/openmetrics-text": string;
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    show_overview: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description id or name */
                group: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["GroupOverviewView"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    show_policies: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description id or name */
                group: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["PoliciesView"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    set_group_policy: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description id or name */
                group: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["PolicyView"];
            };
        };
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["PolicyView"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    list_group_restores: {
        parameters: {
            query?: {
                /** @description As the page before said. */
                cursor?: string;
                /** @description Restores of the page, 1 to 200; 50 when nothing is said. */
                limit?: number;
            };
            header?: never;
            path: {
                /** @description id or name */
                group: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["RestoresPage"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    show_sftp_key: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description id or name */
                group: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SftpKeyView"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    look_at_sftp_server: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description id or name */
                group: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["LookAtServer"];
            };
        };
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ShownHostKey"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    list_sftp_targets: {
        parameters: {
            query?: {
                /** @description As the `Link` of the page before says. */
                cursor?: string;
                /** @description Elements of the page, 1 to 500; 500 when nothing is said. */
                limit?: number;
            };
            header?: never;
            path: {
                /** @description id or name */
                group: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SftpTargetView"][];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    add_sftp_target: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description id or name */
                group: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["NewSftpTarget"];
            };
        };
        responses: {
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SftpTargetView"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    remove_sftp_target: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description id or name */
                group: string;
                /** @description name of the target */
                target: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    test_sftp_target: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description id or name */
                group: string;
                /** @description name of the target */
                target: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SftpTrial"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    accept_invitation: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["AcceptInvitation"];
            };
        };
        responses: {
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["CurrentSession"];
                };
            };
            /** @description the person who is signed in has joined */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    look_at_invitation: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["InvitationSecret"];
            };
        };
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["InvitationFacts"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    list_jobs: {
        parameters: {
            query?: {
                /** @description As the page before said. */
                cursor?: string;
                /** @description Lines of the page, 1 to 200; 50 when nothing is said. */
                limit?: number;
                /** @description Of this kind alone. */
                kind?: "snapshot" | "restore" | "blockstore" | "offsite" | "move" | "backup";
                /** @description In this state alone. */
                state?: "queued" | "running" | "done" | "failed" | "cancelled";
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["JobPage"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    request_join: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["NewJoinRequest"];
            };
        };
        responses: {
            /** @description noted, if there is such a group */
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    list_log_lines: {
        parameters: {
            query?: {
                /** @description Of this program: `web`, `ingest`, `web and ingest` or `daemon`. */
                program?: string;
                /** @description As bad as this, or worse: `error`, `warn` or `info` (all). */
                level?: string;
                /** @description With this text, letters large or small. */
                text?: string;
                /** @description Older than this line, as the page before said. */
                before?: string;
                /** @description Lines of the page, 1 to 1000; 200 when nothing is said. */
                limit?: number;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["LogPage"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    list_metrics: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["MetricView"][];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    list_offsite_copies: {
        parameters: {
            query?: {
                /** @description As the `Link` of the page before says. */
                cursor?: string;
                /** @description Elements of the page, 1 to 500; 500 when nothing is said. */
                limit?: number;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["CopyView"][];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    create_offsite_copy: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["NewCopy"];
            };
        };
        responses: {
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["CopyView"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    show_offsite_copy: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description name */
                copy: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["CopyView"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    remove_offsite_copy: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description name */
                copy: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    restore_pulled_snapshot: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description name */
                copy: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["RestorePulled"];
            };
        };
        responses: {
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["RestoreView"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    run_offsite_copy: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description name */
                copy: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    list_pulled_snapshots: {
        parameters: {
            query?: {
                /** @description As the `Link` of the page before says. */
                cursor?: string;
                /** @description Elements of the page, 1 to 500; 500 when nothing is said. */
                limit?: number;
            };
            header?: never;
            path: {
                /** @description name */
                copy: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["PulledView"][];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    list_offsite_snapshots: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["OffsiteSnapshotView"][];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    read_offsite_blocks: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description id of the snapshot */
                snapshot: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["BlocksWanted"];
            };
        };
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/octet-stream": number[];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    hold_offsite_snapshot: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description id of the snapshot */
                snapshot: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    release_offsite_snapshot: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description id of the snapshot */
                snapshot: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    show_offsite_root: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description id of the snapshot */
                snapshot: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/octet-stream": number[];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    ask_reset: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["AskReset"];
            };
        };
        responses: {
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ResetAsked"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    confirm_reset: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["ConfirmReset"];
            };
        };
        responses: {
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    show_restore: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description id */
                restore: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["RestoreView"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    ask_delivery: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description id */
                restore: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["AskDelivery"];
            };
        };
        responses: {
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["DeliveryView"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    cancel_delivery: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description id */
                restore: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    revoke_link: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description id */
                restore: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["RestoreView"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    sign_in: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["SignIn"];
            };
        };
        responses: {
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["CurrentSession"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    show_session: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["CurrentSession"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    sign_out: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    verify_again: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["Verify"];
            };
        };
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["CurrentSession"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    show_access: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["AccessSettings"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    set_access: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["AccessSettings"];
            };
        };
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["AccessSettings"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    show_backup_defaults: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["BackupDefaultsView"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    set_backup_defaults: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["BackupDefaultsView"];
            };
        };
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["BackupDefaultsView"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    show_ldap: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["LdapView"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    set_ldap: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["SetLdap"];
            };
        };
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["LdapView"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    test_ldap: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["TestLdap"];
            };
        };
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["LdapTested"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    show_mail: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["MailView"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    set_mail: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["SetMail"];
            };
        };
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["MailView"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    test_mail: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["TestMail"];
            };
        };
        responses: {
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    show_monitoring: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["MonitoringSettingsBody"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    set_monitoring: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["MonitoringSettingsBody"];
            };
        };
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["MonitoringSettingsBody"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    show_oidc: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["OidcView"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    set_oidc: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["SetOidc"];
            };
        };
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["OidcView"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    test_oidc: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["OidcTested"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    show_public_url: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["PublicUrlView"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    set_public_url: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["SetPublicUrl"];
            };
        };
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["PublicUrlView"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    show_tls: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["TlsView"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    set_tls: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["SetTls"];
            };
        };
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["TlsView"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    remove_tls: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    show_setup: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SetupView"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    claim: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["NewClaim"];
            };
        };
        responses: {
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["CurrentSession"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    try_code: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["TriedCode"];
            };
        };
        responses: {
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    send_code: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["SendCode"];
            };
        };
        responses: {
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["CurrentSession"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    begin_oidc: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["BeginOidc"];
            };
        };
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["OidcBegun"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    finish_oidc: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["FinishOidc"];
            };
        };
        responses: {
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["CurrentSession"];
                };
            };
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["CodeNeeded"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    sign_up: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["NewSignUp"];
            };
        };
        responses: {
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ResetAsked"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    confirm_sign_up: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["ConfirmSignUp"];
            };
        };
        responses: {
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["CurrentSession"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    list_users: {
        parameters: {
            query?: {
                /** @description As the page before said. */
                cursor?: string;
                /** @description Accounts of the page, 1 to 200. */
                limit?: number;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["UserPage"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    create_user: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["NewUser"];
            };
        };
        responses: {
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["UserMade"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    show_user: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description id */
                user: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["UserView"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    change_user: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description id */
                user: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["ChangeUser"];
            };
        };
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["UserView"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
}
