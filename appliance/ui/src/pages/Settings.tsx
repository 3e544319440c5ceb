// Settings of the appliance: how people reach it, who may do what with it, mail, what new backups begin with, certificates, sign-in.
import { useMay } from "../app/session";
import { Page } from "../components/Page";
import { AccessPolicy } from "./AccessPolicy";
import { BackupDefaults } from "./BackupDefaults";
import { MailServer } from "./MailServer";
import { PublicUrl } from "./PublicUrl";
import { SignInSettings } from "./SignInSettings";
import { TlsSettings } from "./TlsSettings";

export function SettingsPage() {
  const mayChange = useMay(undefined).over("settings:change");
  return (
    <Page
      title="Settings"
      lead={mayChange ? "Of the whole appliance" : "Of the whole appliance. Its owners alone change them."}
    >
      <fieldset disabled={!mayChange} style={{ display: "contents" }}>
        <AccessPolicy />
        <PublicUrl />
        <MailServer />
        <BackupDefaults />
        <TlsSettings />
        <SignInSettings />
      </fieldset>
    </Page>
  );
}
