// The steps of the first set-up, in order. Whoever adds one adds it here: a name, a title, and what is shown.
//
// Those before the claim gather what the claim needs and cannot be skipped; the claim is made at the end of the last of them. Those after it
// are settings of the appliance: each saves for itself, each can be skipped, and all of them stand under Settings afterwards.
import { PasswordInput, Text, TextInput } from "@mantine/core";
import type { ReactNode } from "react";
import { tryCode } from "../../api/access";
import { BackupDefaults } from "../BackupDefaults";
import { MailServer } from "../MailServer";
import { PolicyForm } from "../Policy";
import { PublicUrl } from "../PublicUrl";

/** What the claim needs. */
export interface Claiming {
  code: string;
  email: string;
  name: string;
  password: string;
  group: string;
}

export const NOTHING: Claiming = { code: "", email: "", name: "", password: "", group: "" };

interface FieldsProps {
  form: Claiming;
  set: (part: Partial<Claiming>) => void;
  /** Shortest password, in characters. */
  shortest: number;
}

export interface Before {
  id: string;
  title: string;
  lead: string;
  fields: (props: FieldsProps) => ReactNode;
  /** Asked before the next step; what it throws is shown. */
  check?: (form: Claiming) => Promise<unknown>;
}

export interface After {
  id: string;
  title: string;
  lead: string;
  body: (props: { group: string }) => ReactNode;
}

export const BEFORE: readonly Before[] = [
  {
    id: "code",
    title: "Set-up code",
    lead: "Nobody owns this appliance yet. The set-up code proves that you can read its server: whoever has it becomes the administrator.",
    fields: ({ form, set }) => (
      <TextInput
        label="Set-up code"
        description="Printed by holdfast up, and in the file setup.code of the data directory"
        autoComplete="off"
        autoFocus
        required
        withAsterisk={false}
        value={form.code}
        onChange={(event) => set({ code: event.currentTarget.value })}
      />
    ),
    check: (form) => tryCode(form.code),
  },
  {
    id: "account",
    title: "Your account",
    lead: "The administrator of this appliance: an owner in every group.",
    fields: ({ form, set, shortest }) => (
      <>
        <TextInput
          label="Your name"
          autoComplete="name"
          autoFocus
          required
          withAsterisk={false}
          value={form.name}
          onChange={(event) => set({ name: event.currentTarget.value })}
        />
        <TextInput
          label="Your e-mail"
          type="email"
          autoComplete="username"
          required
          withAsterisk={false}
          value={form.email}
          onChange={(event) => set({ email: event.currentTarget.value })}
        />
        <PasswordInput
          label="Password"
          description={`At least ${shortest} characters`}
          autoComplete="new-password"
          minLength={shortest}
          required
          withAsterisk={false}
          value={form.password}
          onChange={(event) => set({ password: event.currentTarget.value })}
        />
      </>
    ),
  },
  {
    id: "group",
    title: "First group",
    lead: "Agents, deployments and backups belong to a group; nobody sees into another.",
    fields: ({ form, set }) => (
      <TextInput
        label="First group"
        description="A team or customer: its people, agents and backups. Letters, digits, - _ ."
        autoComplete="off"
        autoFocus
        required
        withAsterisk={false}
        value={form.group}
        onChange={(event) => set({ group: event.currentTarget.value })}
      />
    ),
  },
];

export const AFTER: readonly After[] = [
  {
    id: "url",
    title: "Public URL",
    lead: "Links in invitations and mails are made with it.",
    body: () => <PublicUrl />,
  },
  {
    id: "mail",
    title: "Mail server",
    lead: "Invitations, new passwords and new addresses go by mail. Without a server the app shows the links to hand over.",
    body: () => <MailServer />,
  },
  {
    id: "promise",
    title: "What you promise",
    lead: "How far back, how much may be lost, how fast it is back: the overview says when a promise is not kept.",
    body: ({ group }) => <PolicyForm group={group} />,
  },
  {
    id: "defaults",
    title: "Defaults of backups",
    lead: "Each backup can be set otherwise later.",
    body: () => <BackupDefaults />,
  },
  {
    id: "next",
    title: "What comes next",
    lead: "Everything of this can be changed under Settings.",
    body: () => (
      <Text size="sm">
        An agent beside your databases reads them and sends what is written: the wizard under Deployments enrols it with
        one copied line, checks its privileges and starts the backup. People are invited under People.
      </Text>
    ),
  },
];
