// The dialog that makes an API key and shows it once.
import { Button, Group, Modal, NumberInput, Select, Stack, Text, TextInput } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { roleOptions, type Role } from "../api/access";
import type { ApiKey } from "../api/queries";
import { CopyLine } from "../components/CopyLine";
import { ProblemAlert } from "../components/Problem";

/** A key to make. `group`: the one that it sees, where that is asked. */
export interface KeyWish {
  label: string;
  role: Role;
  days: number;
  addresses: string[];
  group: string | null;
}

interface Props {
  title: string;
  opened: boolean;
  onClose: () => void;
  make: (wish: KeyWish) => Promise<ApiKey>;
  /** What is read anew once it is made. */
  queryKey: readonly unknown[];
  /** Groups of which one may be chosen; none: nothing is asked. */
  groups?: { id: string; name: string }[];
  roleHint?: string;
}

const DAYS = 365;
const DAYS_MAX = 3650;

export function MakeKey({ title, opened, onClose, make: send, queryKey, groups, roleHint }: Props) {
  const queries = useQueryClient();
  const [label, setLabel] = useState("");
  const [role, setRole] = useState<Role>("readOnly");
  const [group, setGroup] = useState<string | null>(null);
  const [days, setDays] = useState<number>(DAYS);
  const [addresses, setAddresses] = useState("");
  const make = useMutation({
    mutationFn: () => send({ label, role, days, addresses: addresses.split(/[\s,]+/).filter(Boolean), group }),
    onSuccess: () => queries.invalidateQueries({ queryKey }),
  });
  const close = () => {
    make.reset();
    setLabel("");
    onClose();
  };
  return (
    <Modal opened={opened} onClose={close} title={title} centered closeButtonProps={{ "aria-label": "Close" }}>
      {make.data?.key ? (
        <Stack>
          <Text size="sm">This is the key. It is shown this once.</Text>
          <CopyLine text={make.data.key} label="API key" />
          <Group justify="flex-end">
            <Button onClick={close}>I have it</Button>
          </Group>
        </Stack>
      ) : (
        <form
          onSubmit={(event) => {
            event.preventDefault();
            make.mutate();
          }}
        >
          <Stack>
            <TextInput
              label="What it is for"
              value={label}
              onChange={(e) => setLabel(e.currentTarget.value)}
              data-autofocus
            />
            <Select
              label="Role"
              description={roleHint}
              data={roleOptions}
              value={role}
              onChange={(v) => v && setRole(v as Role)}
              allowDeselect={false}
            />
            {groups ? (
              <Select
                label="Group"
                placeholder="All my groups"
                data={groups.map((g) => ({ value: g.id, label: g.name }))}
                value={group}
                onChange={setGroup}
                clearable
                clearButtonProps={{ "aria-label": "All my groups" }}
              />
            ) : null}
            <NumberInput
              label="Works for"
              suffix=" days"
              min={1}
              max={DAYS_MAX}
              value={days}
              onChange={(v) => setDays(Number(v) || 1)}
            />
            <TextInput
              label="Works from"
              description="Networks such as 10.0.0.0/8, with commas between; empty: everywhere"
              value={addresses}
              onChange={(e) => setAddresses(e.currentTarget.value)}
            />
            <ProblemAlert error={make.error} />
            <Group justify="flex-end">
              <Button variant="default" onClick={close}>
                Close
              </Button>
              <Button type="submit" loading={make.isPending} disabled={!label}>
                Make the key
              </Button>
            </Group>
          </Stack>
        </form>
      )}
    </Modal>
  );
}
