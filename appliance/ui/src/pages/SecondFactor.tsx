// The second factor of one's own account: set up with a QR code, recovery codes made anew, taken away.
import { Button, Group, PasswordInput, Stack, Text, TextInput, Title } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { encode } from "uqr";
import * as access from "../api/access";
import { sessionQuery } from "../api/queries";
import { useSession } from "../app/session";
import { Confirm } from "../components/Confirm";
import { CopyLine } from "../components/CopyLine";
import { Mark } from "../components/Mark";
import { ProblemAlert } from "../components/Problem";

/** A QR code, drawn here: the secret in it goes to no other program. Dark on white in both colour schemes, as readers want it. */
function Qr({ text, label }: { text: string; label: string }) {
  const { size, data } = encode(text, { border: 3 });
  const path = data.flatMap((row, y) => row.map((dark, x) => (dark ? `M${x} ${y}h1v1h-1z` : ""))).join("");
  return (
    <svg
      viewBox={`0 0 ${size} ${size}`}
      width={200}
      height={200}
      role="img"
      aria-label={label}
      shapeRendering="crispEdges"
    >
      <rect width={size} height={size} fill="#fff" />
      <path d={path} fill="#000" />
    </svg>
  );
}

export function SecondFactor() {
  const session = useSession();
  const queries = useQueryClient();
  const [codes, setCodes] = useState<string[] | null>(null);
  const [asking, setAsking] = useState<"codes" | "remove" | null>(null);
  const renew = () => queries.invalidateQueries({ queryKey: sessionQuery.queryKey });
  const { enabled, required, recoveryCodes } = session.totp;
  return (
    <section className="hf-panel">
      <Title order={2} mb="sm">
        Second factor
      </Title>
      <Stack gap="sm">
        {codes ? (
          <>
            <Text size="sm">Recovery codes, shown this once. Each works one time when the phone is not there.</Text>
            <CopyLine text={codes.join("\n")} label="Recovery codes" />
            <Group>
              <Button variant="default" onClick={() => setCodes(null)}>
                I have them
              </Button>
            </Group>
          </>
        ) : enabled ? (
          <>
            <Mark tone="ring">On, {recoveryCodes} recovery codes left</Mark>
            <Group>
              <Button variant="default" onClick={() => setAsking("codes")}>
                New recovery codes…
              </Button>
              {required ? null : (
                <Button variant="default" onClick={() => setAsking("remove")}>
                  Take it away…
                </Button>
              )}
            </Group>
            {required ? (
              <Text size="xs" className="hf-dim">
                The policy of this appliance asks you for it.
              </Text>
            ) : null}
          </>
        ) : (
          <Enrol
            required={required}
            onDone={(made) => {
              setCodes(made);
              void renew();
            }}
          />
        )}
      </Stack>
      <Confirm
        opened={asking === "codes"}
        title="Make new recovery codes"
        button="Make new codes"
        onClose={() => setAsking(null)}
        onConfirm={async () => {
          const made = await access.renewRecovery();
          setCodes(made.recoveryCodes);
          await renew();
        }}
      >
        <p>The {recoveryCodes} codes that are left no longer work. The new ones are shown once.</p>
      </Confirm>
      <Confirm
        opened={asking === "remove"}
        title="Take the second factor away"
        button="Take it away"
        onClose={() => setAsking(null)}
        onConfirm={async () => {
          await access.removeTotp();
          await renew();
        }}
      >
        <p>
          From then on the password alone signs in. The codes of the phone and the recovery codes no longer work; a new
          second factor can be set up at any time.
        </p>
      </Confirm>
    </section>
  );
}

function Enrol({ required, onDone }: { required: boolean; onDone: (codes: string[]) => void }) {
  const session = useSession();
  const [password, setPassword] = useState("");
  const [code, setCode] = useState("");
  // Who signs in by a provider has no password here: the server asks for a fresh sign-in there.
  const provider = session.origin === "oidc";
  const begin = useMutation({ mutationFn: () => access.beginTotp(password) });
  const confirm = useMutation({
    mutationFn: () => access.confirmTotp(code),
    onSuccess: (made) => onDone(made.recoveryCodes),
  });
  if (begin.data) {
    return (
      <form
        onSubmit={(event) => {
          event.preventDefault();
          confirm.mutate();
        }}
      >
        <Stack gap="sm">
          <Text size="sm">
            Show this to the app on your phone, or type the key into it; then enter the code that it shows.
          </Text>
          <Qr text={begin.data.uri} label="QR code of the key" />
          <CopyLine text={begin.data.secret} label="Key for the app" />
          <TextInput
            label="Code"
            autoComplete="one-time-code"
            value={code}
            onChange={(e) => setCode(e.currentTarget.value)}
          />
          <ProblemAlert error={confirm.error} />
          <Group>
            <Button type="submit" loading={confirm.isPending} disabled={!code}>
              Turn it on
            </Button>
          </Group>
        </Stack>
      </form>
    );
  }
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        begin.mutate();
      }}
    >
      <Stack gap="sm">
        <Text size="sm">
          {required
            ? "The policy of this appliance asks you for one. Set it up here: until then only this page opens."
            : "A code from a phone beside the password."}
        </Text>
        {provider ? null : (
          <PasswordInput
            label={session.origin === "ldap" ? "Your password in the directory" : "Your password"}
            autoComplete="current-password"
            value={password}
            onChange={(e) => setPassword(e.currentTarget.value)}
          />
        )}
        <ProblemAlert error={begin.error} />
        <Group>
          <Button type="submit" variant="default" loading={begin.isPending} disabled={!password && !provider}>
            Set it up
          </Button>
        </Group>
      </Stack>
    </form>
  );
}
