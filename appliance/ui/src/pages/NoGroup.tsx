// Someone who belongs to no group yet: make one, or ask to join one.
import { Button, Group, SimpleGrid, Stack, TextInput, Title } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { askToJoin } from "../api/access";
import { client, data } from "../api/client";
import { sessionQuery } from "../api/queries";
import { useSession } from "../app/session";
import { Mark } from "../components/Mark";
import { Page } from "../components/Page";
import { ProblemAlert } from "../components/Problem";

export function GroupForms() {
  const mayMake = useSession().makesGroups;
  return (
    <SimpleGrid cols={{ base: 1, md: 2 }}>
      {mayMake ? <MakeGroup /> : null}
      <AskToJoin />
    </SimpleGrid>
  );
}

function MakeGroup() {
  const queries = useQueryClient();
  const navigate = useNavigate();
  const [name, setName] = useState("");
  const make = useMutation({
    mutationFn: () => data(client.POST("/groups", { body: { name } })),
    onSuccess: async (made) => {
      await queries.refetchQueries({ queryKey: sessionQuery.queryKey });
      await queries.invalidateQueries({ queryKey: ["groups"] });
      await navigate({ to: "/g/$group", params: { group: made.name } });
    },
  });
  return (
    <section className="hf-panel">
      <Title order={2} mb="sm">
        Make a group
      </Title>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          make.mutate();
        }}
      >
        <Stack>
          <TextInput
            label="Name"
            description="A team or customer. Letters, digits, - _ ."
            value={name}
            onChange={(event) => setName(event.currentTarget.value)}
          />
          <ProblemAlert error={make.error} />
          <Group>
            <Button type="submit" disabled={!name} loading={make.isPending}>
              Make the group
            </Button>
          </Group>
        </Stack>
      </form>
    </section>
  );
}

function AskToJoin() {
  const [other, setOther] = useState("");
  const [message, setMessage] = useState("");
  const join = useMutation({ mutationFn: () => askToJoin({ group: other, message }) });
  return (
    <section className="hf-panel">
      <Title order={2} mb="sm">
        Ask to join one
      </Title>
      {join.isSuccess ? (
        <Mark tone="grey">Asked. An owner or user admin of the group decides.</Mark>
      ) : (
        <form
          onSubmit={(event) => {
            event.preventDefault();
            join.mutate();
          }}
        >
          <Stack>
            <TextInput
              label="Name of the group"
              value={other}
              onChange={(event) => setOther(event.currentTarget.value)}
            />
            <TextInput
              label="Who you are, for those who decide"
              value={message}
              onChange={(event) => setMessage(event.currentTarget.value)}
            />
            <ProblemAlert error={join.error} />
            <Group>
              <Button type="submit" variant="default" disabled={!other} loading={join.isPending}>
                Ask
              </Button>
            </Group>
          </Stack>
        </form>
      )}
    </section>
  );
}

export function NoGroupPage() {
  const mayMake = useSession().makesGroups;
  return (
    <Page
      title="No group yet"
      lead={
        mayMake
          ? "Agents, deployments and backups belong to a group. You are in none."
          : "Agents, deployments and backups belong to a group. You are in none: ask to join one, or ask an administrator of this appliance to invite you. Owners of the appliance make groups."
      }
    >
      <GroupForms />
    </Page>
  );
}
