// Asks again who one is, where the server wants it before a restore or a delete; the request then goes on by itself.
import { Button, Group, Modal, PasswordInput, Stack, Text, TextInput } from "@mantine/core";
import { useEffect, useRef, useState } from "react";
import { verify } from "../api/access";
import { onReauthentication } from "../api/client";
import { ProblemAlert } from "../components/Problem";
import { useSession } from "./session";

export function Prove() {
  const session = useSession();
  const [opened, setOpened] = useState(false);
  const [value, setValue] = useState("");
  const [error, setError] = useState<unknown>(null);
  const [busy, setBusy] = useState(false);
  const answer = useRef<(done: boolean) => void>(() => undefined);
  const totp = session.totp.enabled;

  useEffect(() => {
    onReauthentication(
      () =>
        new Promise((resolve) => {
          answer.current = resolve;
          setValue("");
          setError(null);
          setOpened(true);
        }),
    );
    return () => onReauthentication(null);
  }, []);

  const close = (done: boolean) => {
    setOpened(false);
    answer.current(done);
  };
  const submit = async () => {
    setBusy(true);
    setError(null);
    try {
      await verify(totp ? { totp: value } : { password: value });
      close(true);
    } catch (problem) {
      setError(problem);
    } finally {
      setBusy(false);
    }
  };
  return (
    <Modal
      opened={opened}
      onClose={() => close(false)}
      title="Is it you?"
      centered
      closeButtonProps={{ "aria-label": "Close" }}
    >
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void submit();
        }}
      >
        <Stack>
          <Text size="sm">Restores and deletions ask again who is there. What you asked for goes on right after.</Text>
          {totp ? (
            <TextInput
              label="Code of your second factor, or a recovery code"
              value={value}
              onChange={(e) => setValue(e.currentTarget.value)}
              autoComplete="one-time-code"
              data-autofocus
            />
          ) : (
            <PasswordInput
              label="Your password"
              value={value}
              onChange={(e) => setValue(e.currentTarget.value)}
              autoComplete="current-password"
              data-autofocus
            />
          )}
          <ProblemAlert error={error} />
          <Group justify="flex-end">
            <Button variant="default" onClick={() => close(false)}>
              Leave it
            </Button>
            <Button type="submit" loading={busy} disabled={!value}>
              Go on
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
