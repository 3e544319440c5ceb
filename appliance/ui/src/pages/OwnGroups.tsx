// The groups that one sees, on the account page, and the way out of those that one belongs to.
import { Button, Group, Text, Title } from "@mantine/core";
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import * as access from "../api/access";
import { sessionQuery } from "../api/queries";
import { useSession } from "../app/session";
import { Confirm } from "../components/Confirm";
import { Link } from "../components/Link";

export function OwnGroups() {
  const session = useSession();
  const queries = useQueryClient();
  const [leaving, setLeaving] = useState<string | null>(null);
  return (
    <section>
      <Title order={2} mb="xs">
        Groups
      </Title>
      {session.groups.length === 0 ? <Text size="sm">None yet.</Text> : null}
      <ul className="hf-steps hf-rows">
        {session.groups.map((g) => (
          <li key={g.id}>
            <Text size="sm">
              <Link to="/g/$group" params={{ group: g.name }}>
                {g.name}
              </Link>
              : {g.roles.map(access.roleLabel).join(", ").toLowerCase()}
              {g.member ? "" : ", by a role over the whole appliance"}
            </Text>
            {g.member ? (
              <Group>
                <Button
                  size="compact-sm"
                  variant="default"
                  aria-label={`Leave ${g.name}`}
                  onClick={() => setLeaving(g.name)}
                >
                  Leave…
                </Button>
              </Group>
            ) : null}
          </li>
        ))}
      </ul>
      <Confirm
        opened={leaving !== null}
        title={`Leave ${leaving ?? ""}`}
        button="Leave the group"
        onClose={() => setLeaving(null)}
        onConfirm={async () => {
          await access.leaveGroup(leaving!);
          await queries.refetchQueries({ queryKey: sessionQuery.queryKey });
        }}
      >
        <p>
          Your roles in it end at once, with what your own keys may do there. Backups, and keys of the group that you
          made, go on. To come back, someone must invite you.
        </p>
      </Confirm>
    </section>
  );
}
