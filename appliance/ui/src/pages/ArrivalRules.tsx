// Who of a provider or a directory gets in, and with which roles: the same questions for both.
import { Button, Checkbox, Group, MultiSelect, Select, Stack, Text, TextInput } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import * as access from "../api/access";
import { groupsQuery } from "../api/queries";

type Rules = access.ArrivalRules;

/** Domains as they are typed: with commas or spaces between. */
export const domainsOf = (text: string): string[] => text.split(/[\s,]+/).filter((part) => part !== "");

export function ArrivalFields({
  rules,
  theirs,
  linking,
  change,
}: {
  rules: Rules;
  /** What an administrator must know before addresses take accounts over. */
  linking: string;
  /** What a group of the other side is called. */
  theirs: string;
  change: (rules: Rules) => void;
}) {
  const groups = useQuery(groupsQuery).data ?? [];
  const set = (part: Partial<Rules>) => change({ ...rules, ...part });
  const line = (index: number, part: Partial<Rules["mapping"][number]>) =>
    set({ mapping: rules.mapping.map((old, i) => (i === index ? { ...old, ...part } : old)) });
  return (
    <Stack>
      <TextInput
        label="Who gets an account at the first sign-in: e-mail domains"
        description="Empty: everyone where anyone may make an account, else who is invited. Closed sign-up: nobody"
        placeholder="example.org"
        value={rules.domains.join(" ")}
        onChange={(event) => set({ domains: event.currentTarget.value.split(" ") })}
        onBlur={(event) => set({ domains: domainsOf(event.currentTarget.value) })}
      />
      <Checkbox
        label="A verified address takes over the account of that address here"
        description={`${linking} The password of that account no longer works then, its sessions and its own API keys end. Accounts with a role over the appliance are never taken over`}
        checked={rules.linkByEmail}
        onChange={(event) => set({ linkByEmail: event.currentTarget.checked })}
      />
      <Select
        label="Second factor"
        allowDeselect={false}
        value={rules.secondFactor}
        onChange={(v) => v && set({ secondFactor: v as Rules["secondFactor"] })}
        data={[
          { value: "here", label: "Of this appliance, by its policy" },
          { value: "provider", label: "The other side's: these people are not asked here" },
        ]}
      />
      <div>
        <Text size="sm" fw={500}>
          Roles by groups
        </Text>
        <Text size="xs" className="hf-dim" mb="xs">
          A group that is named here is kept by the other side: roles given by hand are replaced at the next sign-in,
          and who is in none of its lines leaves it. The last owner stays.
        </Text>
        <Stack gap="xs">
          {rules.mapping.map((of, index) => (
            // Lines have no name of their own; they are only added at the end and removed.
            <Group key={index} align="flex-end" gap="xs">
              <TextInput
                label={theirs}
                value={of.theirs}
                onChange={(event) => line(index, { theirs: event.currentTarget.value })}
                style={{ flex: "2 1 180px" }}
              />
              <Select
                label="Group here"
                data={groups.map(({ id, name }) => ({ value: id, label: name }))}
                value={of.group || null}
                onChange={(group) => group && line(index, { group })}
                allowDeselect={false}
                searchable
                style={{ flex: "1 1 120px" }}
              />
              <MultiSelect
                label="Roles"
                data={access.roleOptions}
                value={of.roles}
                onChange={(roles) => line(index, { roles: roles as access.Role[] })}
                style={{ flex: "2 1 200px" }}
              />
              <Button
                variant="default"
                onClick={() => set({ mapping: rules.mapping.filter((_, i) => i !== index) })}
                aria-label={`Remove the line of ${of.theirs || "nothing"}`}
              >
                Remove
              </Button>
            </Group>
          ))}
          <Group>
            <Button
              variant="default"
              size="compact-sm"
              onClick={() =>
                set({ mapping: [...rules.mapping, { theirs: "", group: groups[0]?.id ?? "", roles: ["readOnly"] }] })
              }
            >
              Add a line
            </Button>
          </Group>
        </Stack>
      </div>
    </Stack>
  );
}
