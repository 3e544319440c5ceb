// Asks again who one is, where the server wants it before a restore or a delete; the request then goes on by itself.
import { Button, Group, Modal, PasswordInput, Stack, Text, TextInput } from "@mantine/core";
import { useEffect, useRef, useState } from "react";
import { verify } from "../api/access";
import { onReauthentication } from "../api/client";
import { ProblemAlert } from "../components/Problem";
import { goToProvider } from "../pages/provider";
import { useSession } from "./session";

export function Prove() {
  const session = useSession();
  const [opened, setOpened] = useState(false);
  const [value, setValue] = useState("");
  const [error, setError] = useState<unknown>(null);
  const [busy, setBusy] = useState(false);
  const answer = useRef<(done: boolean) => void>(() => undefined);
  const totp = session.totp.enabled;
  // Who signs in by a provider has no password here: the provider asks.
  const provider = session.origin === "oidc" && !totp;

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
      if (provider) {
        await goToProvider(window.location.pathname + window.location.search, true);
        return;
      }
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
          <Text size="sm">
            Restores and deletions ask again who is there.{" "}
            {provider
              ? "Sign in again by your provider: you come back to this page, and what you asked for is to be asked for once more. Nothing was done yet."
              : "What you asked for goes on right after."}
          </Text>
          {provider ? null : totp ? (
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
            <Button type="submit" loading={busy} disabled={!value && !provider}>
              {provider ? "Sign in again" : "Go on"}
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
