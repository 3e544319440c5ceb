// Sign-in elsewhere, in a real Chromium: settings typed in and tested, then people of a real OpenID provider and of a real LDAP directory sign in,
// with the roles of their groups; what is refused says what to do; who signed in by a provider proves it there again.
import assert from "node:assert/strict";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { claimed, startAppliance } from "./appliance.mjs";
import { openBrowser, settled } from "./browser.mjs";
import { startProvider, startSlapd } from "./servers.mjs";

const ADMIN = { name: "Ada Byron", email: "ada@example.com", password: "kelp and rock 1843" };
const step = (text) => console.log(`- ${text}`);

const appliance = await startAppliance();
const redirect = `${appliance.url.replace(/\/$/, "")}/signed-in`;
const provider = await startProvider(redirect);
const slapd = await startSlapd();
const first = await openBrowser();
const second = await openBrowser();
const errors = [];
for (const { page } of [first, second]) page.on("pageerror", (error) => errors.push(`${page.url()}: ${error.message}`));

/** Fills the form of a section: one that is named by its heading. */
const section = (page, heading) =>
  page.locator("section.hf-panel").filter({ has: page.getByRole("heading", { name: heading }) });

/** People of example.org get an account; those of the group there are backup admins of the group here. */
async function rules(page, part, theirs) {
  await part.getByLabel(/Who gets an account at the first sign-in/).fill("example.org");
  await part.getByRole("button", { name: "Add a line" }).click();
  await part.getByLabel(/^Group (in the claim|there)/).fill(theirs);
  await part.getByLabel("Roles").press("ArrowDown");
  await page.getByRole("option", { name: /^Backup admin/ }).click();
  await page.keyboard.press("Escape");
  await part.getByRole("button", { name: "Save" }).click();
}

/** At the provider: the person says who they are. */
async function agree(page, subject) {
  await page.waitForURL((at) => at.href.startsWith(provider.url));
  await page.getByPlaceholder("sub").fill(subject);
  await page.getByRole("button", { name: "Authorize", exact: true }).click();
}

try {
  const { page } = first;
  const { url } = appliance;
  await claimed(page, appliance, ADMIN, "demo");

  step("a provider is set and tested");
  await page.goto(`${url}/admin/settings`);
  await settled(page);
  const oidc = section(page, /OpenID Connect/);
  await oidc.getByText(redirect).waitFor();
  await oidc.getByLabel("Issuer").fill("http://id.example.org");
  await oidc.getByLabel("Name on the button").fill("Example ID");
  await oidc.getByLabel("Client id").fill(provider.id);
  await oidc.getByLabel("Client secret").fill(provider.secret);
  await oidc.getByRole("button", { name: "Save" }).click();
  await oidc
    .getByRole("alert")
    .getByText(/https:/)
    .waitFor();
  await oidc.getByLabel("Issuer").fill(provider.url);
  await rules(page, oidc, "ops");
  await oidc.getByRole("button", { name: "Test what is saved" }).click();
  await oidc.getByText(/describes itself as it should/).waitFor();

  step("someone of the provider signs in, with the role of their group");
  const guest = second.page;
  await provider.person("emmy", {
    email: "emmy@example.org",
    email_verified: true,
    name: "Emmy Noether",
    groups: ["ops"],
  });
  await provider.person("eve", { email: "eve@example.org", email_verified: false });
  await guest.goto(`${url}/g/demo/sftp`);
  await guest.waitForURL(/\/signin\?next=/);
  await guest.getByRole("button", { name: "Sign in with Example ID" }).click();
  await agree(guest, "emmy");
  await guest.waitForURL(/\/g\/demo\/sftp$/);
  await guest.getByRole("button", { name: "Add a target" }).waitFor();
  await guest.goto(`${url}/account`);
  await guest.getByText(/You sign in by your provider/).waitFor();

  step("an address that is not verified gets no account, and hears why");
  const third = await openBrowser();
  try {
    await third.page.goto(`${url}/signin`);
    await third.page.getByRole("button", { name: "Sign in with Example ID" }).click();
    await agree(third.page, "eve");
    await third.page
      .getByRole("alert")
      .getByText(/is not verified where you signed in/)
      .waitFor();
    assert.equal(new URL(third.page.url()).search, "", "no code stays in the address");
    await third.page.getByRole("link", { name: "Begin again" }).click();
    await third.page.getByRole("button", { name: "Sign in with Example ID" }).waitFor();
  } finally {
    await third.close();
  }

  step("a directory is set and tested with someone's name");
  await page.goto(`${url}/admin/settings`);
  await settled(page);
  const ldap = section(page, /LDAP/);
  await ldap.getByLabel("Host of the directory").fill("localhost");
  await ldap.getByLabel("Port of the directory").fill(String(slapd.port));
  await ldap.getByLabel("Certificates of the directory's CA").fill(slapd.ca);
  await ldap.getByLabel("Service account (distinguished name)").fill(slapd.service.dn);
  await ldap.getByLabel("Its password").fill(slapd.service.password);
  await ldap.getByLabel("People are below").fill(`ou=people,${slapd.base}`);
  await ldap.getByLabel("Groups are below").fill(`ou=groups,${slapd.base}`);
  await rules(page, ldap, slapd.group);
  const name = ldap.getByLabel("Test what is saved with someone's name");
  await name.fill("nobody");
  await ldap.getByRole("button", { name: "Test", exact: true }).click();
  await ldap
    .getByRole("alert")
    .getByText(/finds nobody/)
    .waitFor();
  await name.fill(slapd.person.uid);
  await ldap.getByRole("button", { name: "Test", exact: true }).click();
  await ldap.getByText(/Grace Hopper, grace@example.org/).waitFor();

  step("someone of the directory signs in by their name there");
  await guest.getByRole("button", { name: /account of/ }).click();
  await guest.getByRole("menuitem", { name: "Sign out" }).click();
  await guest.waitForURL(/\/signin/);
  const signIn = async (password) => {
    await guest.getByLabel("E-mail, or your name in the directory").fill(slapd.person.uid);
    await guest.getByLabel("Password", { exact: true }).fill(password);
    await guest.getByRole("button", { name: "Sign in", exact: true }).click();
  };
  await guest.reload();
  await signIn("not this one at all");
  await guest.getByRole("alert").waitFor();
  await signIn(slapd.person.password);
  await guest.waitForURL(/\/g\/demo/);
  await guest.goto(`${url}/account`);
  await guest.getByText(/You sign in by your directory/).waitFor();
  assert.deepEqual(errors, []);
  console.log("the sign-in elsewhere is complete");
} catch (error) {
  for (const [name, { page }] of Object.entries({ first, second })) {
    const file = join(tmpdir(), `holdfast-elsewhere-${name}.png`);
    await page.screenshot({ path: file }).catch(() => undefined);
    console.error(`${name} stood at ${page.url()} (${file})`);
  }
  throw error;
} finally {
  await first.close();
  await second.close();
  await appliance.stop();
  await provider.stop();
  await slapd.stop();
}
