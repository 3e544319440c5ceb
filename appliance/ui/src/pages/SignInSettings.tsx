// Settings of sign-in elsewhere: an OpenID Connect provider, an LDAP directory, each with a test.
import {
  Button,
  Checkbox,
  Group,
  NumberInput,
  PasswordInput,
  Select,
  SimpleGrid,
  Stack,
  Text,
  Textarea,
  TextInput,
  Title,
} from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import * as access from "../api/access";
import { say } from "../components/said";
import { ProblemAlert } from "../components/Problem";
import { ArrivalFields, domainsOf } from "./ArrivalRules";

export function SignInSettings() {
  const oidc = useQuery({ queryKey: ["settings", "oidc"], queryFn: access.getOidc });
  const ldap = useQuery({ queryKey: ["settings", "ldap"], queryFn: access.getLdap });
  return (
    <>
      <ProblemAlert error={oidc.error ?? ldap.error} />
      {oidc.data ? <Oidc saved={oidc.data} /> : null}
      {ldap.data ? <Ldap saved={ldap.data} /> : null}
    </>
  );
}

/** Fields of a form, by name. */
function useForm<T extends object>(initial: T) {
  const [form, setForm] = useState(initial);
  const set = (part: Partial<T>) => setForm((old) => ({ ...old, ...part }));
  const text = <K extends keyof T>(name: K) => ({
    value: form[name] as string,
    onChange: (event: { currentTarget: { value: string } }) => set({ [name]: event.currentTarget.value } as Partial<T>),
  });
  return { form, set, text };
}

const trimmed = (rules: access.ArrivalRules) => ({ ...rules, domains: domainsOf(rules.domains.join(" ")) });

function Oidc({ saved }: { saved: access.OidcSettings }) {
  const queries = useQueryClient();
  const { form, set, text } = useForm({
    issuer: saved.issuer,
    label: saved.label,
    clientId: saved.clientId,
    secret: "",
    scopes: saved.scopes.join(" "),
    groupsClaim: saved.groupsClaim,
    trustEmail: saved.trustEmail,
    ca: saved.ca ?? "",
    arrivals: saved.arrivals,
  });
  const save = useMutation({
    mutationFn: () =>
      access.setOidc({
        ...form,
        secret: form.secret || null,
        scopes: domainsOf(form.scopes),
        ca: form.ca || null,
        arrivals: trimmed(form.arrivals),
      }),
    onSuccess: async () => {
      set({ secret: "" });
      say("Saved. Test it, then sign in by it in another window before you rely on it.");
      await queries.invalidateQueries({ queryKey: ["settings", "oidc"] });
      await queries.invalidateQueries({ queryKey: ["setup"] });
    },
  });
  const test = useMutation({ mutationFn: access.testOidc });
  return (
    <section className="hf-panel">
      <Title order={2} mb="sm">
        Sign-in by a provider (OpenID Connect)
      </Title>
      <Text size="sm" mb="sm">
        Register this address there: <code>{saved.redirectUri}</code>
      </Text>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          save.mutate();
        }}
      >
        <Stack>
          <SimpleGrid cols={{ base: 1, sm: 2 }}>
            <TextInput
              label="Issuer"
              description="Empty: no provider; who signs in by it is let in no more"
              placeholder="https://id.example.org"
              {...text("issuer")}
            />
            <TextInput label="Name on the button" description="Sign in with …" {...text("label")} />
            <TextInput label="Client id" autoComplete="off" {...text("clientId")} />
            <PasswordInput
              label="Client secret"
              placeholder={saved.secretSet ? "as it is stored" : ""}
              autoComplete="new-password"
              {...text("secret")}
            />
            <TextInput label="Scopes beyond openid" {...text("scopes")} />
            <TextInput label="Claim with the groups" description="Empty: none" {...text("groupsClaim")} />
          </SimpleGrid>
          <Checkbox
            label="Addresses of this provider are verified, also where it does not say so"
            description="Only for a provider of your own, where nobody chooses an address"
            checked={form.trustEmail}
            onChange={(event) => set({ trustEmail: event.currentTarget.checked })}
          />
          <Textarea
            label="Certificates of a CA of your own"
            description="PEM; empty: those of the machine"
            rows={3}
            {...text("ca")}
          />
          <ArrivalFields
            rules={form.arrivals}
            theirs="Group in the claim"
            linking="Only for a provider where nobody has an address that is not theirs."
            change={(arrivals) => set({ arrivals })}
          />
          <ProblemAlert error={save.error} />
          <Group>
            <Button type="submit" loading={save.isPending}>
              Save
            </Button>
            {saved.issuer ? (
              <Button variant="default" loading={test.isPending} onClick={() => test.mutate()}>
                Test what is saved
              </Button>
            ) : null}
          </Group>
          <ProblemAlert error={test.error} />
          {test.data ? (
            <Text size="sm" role="status">
              {test.data.detail}
            </Text>
          ) : null}
        </Stack>
      </form>
    </section>
  );
}

function Ldap({ saved }: { saved: access.LdapSettings }) {
  const queries = useQueryClient();
  const { form, set, text } = useForm({
    host: saved.host,
    port: saved.port,
    security: saved.security,
    ca: saved.ca ?? "",
    bindDn: saved.bindDn,
    password: "",
    userBase: saved.userBase,
    userFilter: saved.userFilter,
    idAttribute: saved.idAttribute,
    emailAttribute: saved.emailAttribute,
    nameAttribute: saved.nameAttribute,
    groupBase: saved.groupBase,
    groupFilter: saved.groupFilter,
    arrivals: saved.arrivals,
  });
  const [user, setUser] = useState("");
  const save = useMutation({
    mutationFn: () =>
      access.setLdap({
        ...form,
        password: form.password || null,
        ca: form.ca || null,
        arrivals: trimmed(form.arrivals),
      }),
    onSuccess: async () => {
      set({ password: "" });
      say("Saved. Test it with the name of someone who shall sign in.");
      await queries.invalidateQueries({ queryKey: ["settings", "ldap"] });
      await queries.invalidateQueries({ queryKey: ["setup"] });
    },
  });
  const test = useMutation({ mutationFn: () => access.testLdap(user || null) });
  return (
    <section className="hf-panel">
      <Title order={2} mb="sm">
        Sign-in by a directory (LDAP)
      </Title>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          save.mutate();
        }}
      >
        <Stack>
          <SimpleGrid cols={{ base: 1, sm: 2 }}>
            <TextInput
              label="Host of the directory"
              description="Empty: no directory; who signs in by it is let in no more"
              placeholder="ldap.example.org"
              {...text("host")}
            />
            <NumberInput
              label="Port of the directory"
              description="636 with TLS, 389 with StartTLS"
              min={1}
              max={65_535}
              value={form.port}
              onChange={(v) => set({ port: Number(v) || 636 })}
            />
            <Select
              label="Passwords are kept secret by"
              allowDeselect={false}
              value={form.security}
              onChange={(v) => v && set({ security: v as typeof form.security })}
              data={[
                { value: "tls", label: "TLS from the start" },
                { value: "startTls", label: "StartTLS" },
                { value: "none", label: "Nothing: only on this machine" },
              ]}
            />
            <Textarea
              label="Certificates of the directory's CA"
              description="PEM; empty: those of the machine"
              rows={2}
              {...text("ca")}
            />
            <TextInput label="Service account (distinguished name)" autoComplete="off" {...text("bindDn")} />
            <PasswordInput
              label="Its password"
              placeholder={saved.passwordSet ? "as it is stored" : ""}
              autoComplete="new-password"
              {...text("password")}
            />
            <TextInput label="People are below" placeholder="ou=people,dc=example,dc=org" {...text("userBase")} />
            <TextInput label="A person is found by" description="{user} is what was typed" {...text("userFilter")} />
            <TextInput label="Attribute with the e-mail" {...text("emailAttribute")} />
            <TextInput label="Attribute with the name" {...text("nameAttribute")} />
            <TextInput
              label="Attribute that never changes"
              description="entryUUID, or objectGUID in Active Directory; empty: the distinguished name"
              {...text("idAttribute")}
            />
            <TextInput
              label="Groups are below"
              description="Empty: only memberOf of the person counts"
              {...text("groupBase")}
            />
            <TextInput
              label="Groups of a person are found by"
              description="{dn} is the person's distinguished name"
              {...text("groupFilter")}
            />
          </SimpleGrid>
          <ArrivalFields
            rules={form.arrivals}
            theirs="Group there (distinguished name)"
            linking="Only where people cannot change their address in the directory themselves."
            change={(arrivals) => set({ arrivals })}
          />
          <ProblemAlert error={save.error} />
          <Group>
            <Button type="submit" loading={save.isPending}>
              Save
            </Button>
          </Group>
        </Stack>
      </form>
      {saved.host ? (
        <Stack mt="md">
          <Group align="flex-end">
            <TextInput
              label="Test what is saved with someone's name"
              description="No password is needed; empty: only the service account"
              value={user}
              onChange={(event) => setUser(event.currentTarget.value)}
            />
            <Button variant="default" loading={test.isPending} onClick={() => test.mutate()}>
              Test
            </Button>
          </Group>
          <ProblemAlert error={test.error} />
          {test.data ? (
            <Text size="sm" role="status">
              {test.data.detail}
              {test.data.person
                ? `: ${test.data.person.name}, ${test.data.person.email || "no e-mail"}, groups: ${test.data.person.groups.join("; ") || "none"}`
                : ""}
            </Text>
          ) : null}
        </Stack>
      ) : null}
    </section>
  );
}
