// The e-mail address of one's own account. Another one counts once the link that goes to it was used.
import { Button, Group, PasswordInput, Stack, Text, TextInput, Title } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import * as access from "../api/access";
import { useSession } from "../app/session";
import { ProblemAlert } from "../components/Problem";

export function OwnAddress() {
  const session = useSession();
  const [email, setEmail] = useState(session.user.email);
  const [password, setPassword] = useState("");
  const ask = useMutation({
    mutationFn: () => access.changeAddress({ email, password }),
    onSuccess: () => setPassword(""),
  });
  // Who signs in by a provider has no password here: the server asks for a fresh sign-in there.
  const provider = session.origin === "oidc";
  const changed = email.trim().toLowerCase() !== session.user.email;
  return (
    <section className="hf-panel">
      <Title order={2} mb="sm">
        E-mail
      </Title>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          ask.mutate();
        }}
      >
        <Stack gap="sm">
          <TextInput
            label={session.origin === "local" ? "You sign in with" : "Mails go to"}
            type="email"
            autoComplete="email"
            value={email}
            onChange={(e) => setEmail(e.currentTarget.value)}
          />
          {changed && !provider ? (
            <PasswordInput
              label="Your password, for another address"
              autoComplete="current-password"
              value={password}
              onChange={(e) => setPassword(e.currentTarget.value)}
            />
          ) : null}
          {ask.data?.emailPending ? (
            <Text size="sm" role="status">
              A link went to {ask.data.emailPending}. Until it is used, within a day, you sign in as before.
            </Text>
          ) : null}
          <ProblemAlert error={ask.error} />
          <Group>
            <Button
              type="submit"
              variant="default"
              loading={ask.isPending}
              disabled={!changed || (!password && !provider)}
            >
              Send the link
            </Button>
          </Group>
        </Stack>
      </form>
    </section>
  );
}
