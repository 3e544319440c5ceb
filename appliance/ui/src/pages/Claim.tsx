// The first visit: whoever has the set-up code becomes the administrator, and is led through what is set first.
import { Button, Group, Stack, Text } from "@mantine/core";
import { useMutation, useQuery, useQueryClient, useSuspenseQuery } from "@tanstack/react-query";
import { Navigate, useNavigate, useSearch } from "@tanstack/react-router";
import { useState } from "react";
import { claim, type Setup } from "../api/access";
import { sessionQuery, setupQuery } from "../api/queries";
import { Prove } from "../app/Prove";
import { Outside } from "../components/Outside";
import { ProblemAlert, Waiting } from "../components/Problem";
import { AFTER, BEFORE, NOTHING, type Claiming } from "./claim/steps";

const TITLES = [...BEFORE, ...AFTER].map(({ id, title }) => ({ id, title }));

/** All steps in a row, the present one marked. */
function Steps({ at }: { at: string }) {
  const present = TITLES.findIndex(({ id }) => id === at);
  return (
    <ol className="hf-wizard" aria-label="Steps">
      {TITLES.map(({ id, title }, n) => (
        <li key={id} aria-current={id === at ? "step" : undefined} data-done={n < present ? true : undefined}>
          {title}
        </li>
      ))}
    </ol>
  );
}

export function ClaimPage() {
  const setup = useSuspenseQuery(setupQuery).data;
  const { step } = useSearch({ from: "/claim" });
  const after = AFTER.find(({ id }) => id === step);
  if (after) return <Settled at={after.id} />;
  return <ToClaim setup={setup} />;
}

function ToClaim({ setup }: { setup: Setup }) {
  const queries = useQueryClient();
  const navigate = useNavigate();
  const [form, setForm] = useState<Claiming>(NOTHING);
  const [at, setAt] = useState(0);
  const step = BEFORE[at]!;
  const isLast = at === BEFORE.length - 1;
  const go = useMutation({
    mutationFn: async () => {
      await step.check?.(form);
      return isLast ? claim(form) : null;
    },
    onSuccess: async (session) => {
      if (!session) {
        setAt(at + 1);
        return;
      }
      queries.setQueryData(sessionQuery.queryKey, session);
      queries.setQueryData(setupQuery.queryKey, { ...setup, claimed: true });
      await navigate({ to: "/claim", search: { step: AFTER[0]!.id } });
    },
  });
  // While the answer to this page's own claim is taken in, the page stays: it leads on itself.
  if (setup.claimed && !go.isPending && !go.isSuccess) return <Navigate to="/signin" search={{}} />;
  return (
    <Outside title="Claim this appliance" lead={step.lead}>
      <Steps at={step.id} />
      <form
        key={step.id}
        onSubmit={(event) => {
          event.preventDefault();
          go.mutate();
        }}
        style={{ display: "grid", gap: 14 }}
      >
        {step.fields({
          form,
          set: (part) => setForm((old) => ({ ...old, ...part })),
          shortest: setup.passwordCharsMin,
        })}
        <ProblemAlert error={go.error} />
        <Group justify="space-between">
          {at > 0 ? (
            <Button
              variant="default"
              onClick={() => {
                go.reset();
                setAt(at - 1);
              }}
            >
              Back
            </Button>
          ) : (
            <span />
          )}
          <Button type="submit" loading={go.isPending}>
            {isLast ? "Make the administrator's account" : "Next"}
          </Button>
        </Group>
      </form>
      <Text size="xs" className="hf-dim">
        Version {setup.version}. The same from a file: holdfast-app setup --file.
      </Text>
    </Outside>
  );
}

/** A step after the claim: whoever reloads the page is where they were. */
function Settled({ at }: { at: string }) {
  const navigate = useNavigate();
  const session = useQuery(sessionQuery);
  if (session.isPending) return <Waiting what="Loading" />;
  if (!session.data) return <Navigate to="/signin" search={{ next: `/claim?step=${at}` }} />;
  const group = session.data.groups[0]?.name;
  if (!group || !session.data.globalRoles.includes("owner")) return <Navigate to="/" />;
  const n = AFTER.findIndex(({ id }) => id === at);
  const step = AFTER[n]!;
  const to = (next: number) =>
    AFTER[next]
      ? navigate({ to: "/claim", search: { step: AFTER[next].id } })
      : navigate({ to: "/g/$group", params: { group } });
  return (
    <Outside title={step.title} lead={step.lead} wide>
      <Steps at={step.id} />
      <Stack key={step.id}>{step.body({ group })}</Stack>
      <Group justify="space-between">
        {n > 0 ? (
          <Button variant="default" onClick={() => void to(n - 1)}>
            Back
          </Button>
        ) : (
          <span />
        )}
        <Group>
          {n < AFTER.length - 1 ? (
            <Button variant="default" onClick={() => void to(AFTER.length)}>
              Leave the rest for later
            </Button>
          ) : null}
          <Button onClick={() => void to(n + 1)}>{n < AFTER.length - 1 ? "Next" : "Go to the overview"}</Button>
        </Group>
      </Group>
      <Prove />
    </Outside>
  );
}
