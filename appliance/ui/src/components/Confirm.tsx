// Before something is lost: what goes, what it frees, until when it can be undone. A name is typed only where nothing can be undone.
import { Button, Group, Modal, Stack, Text, TextInput } from "@mantine/core";
import { useState, type ReactNode } from "react";
import { ProblemAlert } from "./Problem";

interface Props {
  opened: boolean;
  title: string;
  children: ReactNode;
  /** Names the effect: "Put snapshot into the trash". */
  button: string;
  /** Must be typed. */
  name?: string;
  onConfirm: () => Promise<unknown>;
  onClose: () => void;
}

export function Confirm({ opened, title, children, button, name, onConfirm, onClose }: Props) {
  const [typed, setTyped] = useState("");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const close = () => {
    setTyped("");
    setError(null);
    onClose();
  };
  const confirm = async () => {
    setBusy(true);
    setError(null);
    try {
      await onConfirm();
      close();
    } catch (problem) {
      setError(problem);
    } finally {
      setBusy(false);
    }
  };
  return (
    <Modal opened={opened} onClose={close} title={title} centered closeButtonProps={{ "aria-label": "Close" }}>
      <Stack gap="md">
        <Text size="sm" component="div">
          {children}
        </Text>
        {name ? (
          <TextInput
            label={`Type ${name} to go on`}
            value={typed}
            onChange={(event) => setTyped(event.currentTarget.value)}
            autoComplete="off"
          />
        ) : null}
        <ProblemAlert error={error} />
        <Group justify="flex-end">
          <Button variant="default" onClick={close}>
            Keep everything
          </Button>
          <Button
            color="red"
            loading={busy}
            disabled={name !== undefined && typed !== name}
            onClick={() => void confirm()}
          >
            {button}
          </Button>
        </Group>
      </Stack>
    </Modal>
  );
}
