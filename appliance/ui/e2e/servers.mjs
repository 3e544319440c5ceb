// Servers of others that the appliance talks to, each real and in a temporary folder on a free port: OpenLDAP, OpenSSH, an OpenID provider.
import { execFileSync, spawn } from "node:child_process";
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { free, until } from "./appliance.mjs";

const LISTEN_MS_MAX = 60_000;
const STOP_MS_MAX = 10_000;
const repository = fileURLToPath(new URL("../../..", import.meta.url));

const listens = (port) =>
  new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("connect", () => resolve(true));
    socket.once("error", () => resolve(false));
    socket.once("close", () => socket.destroy());
    socket.once("connect", () => socket.end());
  });

/** Runs a program until `stop`, which also removes its folder; comes back once it listens. */
async function serve(program, args, port, dir) {
  const child = spawn(program, args, { stdio: "ignore" });
  let ended = false;
  const exit = new Promise((resolve) =>
    child.once("exit", () => {
      ended = true;
      resolve();
    }),
  );
  const stop = async () => {
    if (!ended) child.kill("SIGTERM");
    const late = setTimeout(() => child.kill("SIGKILL"), STOP_MS_MAX);
    await exit;
    clearTimeout(late);
    await rm(dir, { recursive: true, force: true });
  };
  try {
    await until(`${program} listens`, LISTEN_MS_MAX, () => {
      if (ended) throw new Error(`${program} ended`);
      return listens(port);
    });
  } catch (error) {
    await stop();
    throw error;
  }
  return stop;
}

/** An OpenSSH server that lets `user` in with the keys of `authorize`, and a folder to push into. */
export async function startSshd() {
  const dir = await mkdtemp(join(tmpdir(), "holdfast-sshd-"));
  const port = await free();
  const at = (name) => join(dir, name);
  await mkdir(at("in"));
  // As root it insists on this folder, which the service would make.
  await mkdir("/run/sshd", { recursive: true }).catch(() => undefined);
  execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", at("host")]);
  await writeFile(at("authorized_keys"), "");
  const conf = [
    `Port ${port}`,
    "ListenAddress 127.0.0.1",
    `HostKey ${at("host")}`,
    `AuthorizedKeysFile ${at("authorized_keys")}`,
    "PidFile none",
    "StrictModes no",
    "UsePAM no",
    "PasswordAuthentication no",
    "KbdInteractiveAuthentication no",
    "PermitRootLogin prohibit-password",
    "Subsystem sftp internal-sftp",
  ];
  await writeFile(at("conf"), `${conf.join("\n")}\n`);
  const stop = await serve("/usr/sbin/sshd", ["-D", "-e", "-f", at("conf")], port, dir);
  const fingerprint = execFileSync("ssh-keygen", ["-lf", at("host.pub")], { encoding: "utf8" }).split(" ")[1];
  const authorize = (line) => writeFile(at("authorized_keys"), `${line}\n`);
  return { port, user: userInfo().username, folder: at("in"), fingerprint, authorize, stop };
}

/** An OpenLDAP server with TLS, a service account, and Grace with her group. */
export async function startSlapd() {
  const dir = await mkdtemp(join(tmpdir(), "holdfast-slapd-"));
  const at = (name) => join(dir, name);
  const port = await free();
  const base = "dc=example,dc=org";
  const service = { dn: `cn=reader,${base}`, password: "reader-s3cret" };
  const person = {
    uid: "grace",
    name: "Grace Hopper",
    email: "grace@example.org",
    password: "nanoseconds of wire 1906",
  };
  const group = `cn=ops,ou=groups,${base}`;
  // A copy: profiles of AppArmor hold the program at its own path to its own folders.
  await copyFile("/usr/sbin/slapd", at("slapd"));
  execFileSync(
    "openssl",
    ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"].concat(
      ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
      ["-addext", "basicConstraints=critical,CA:FALSE", "-keyout", at("key.pem"), "-out", at("cert.pem")],
    ),
    { stdio: "ignore" },
  );
  await mkdir(at("db"));
  const conf = [
    ...["core", "cosine", "inetorgperson"].map((name) => `include /etc/ldap/schema/${name}.schema`),
    `pidfile ${at("pid")}`,
    "modulepath /usr/lib/ldap",
    "moduleload back_mdb",
    `TLSCertificateFile ${at("cert.pem")}`,
    `TLSCertificateKeyFile ${at("key.pem")}`,
    "database mdb",
    `suffix "${base}"`,
    `directory ${at("db")}`,
    "access to attrs=userPassword by anonymous auth by * none",
    `access to * by dn.exact="${service.dn}" read by anonymous auth by * none`,
  ];
  await writeFile(at("slapd.conf"), `${conf.join("\n")}\n`);
  const people = `uid=${person.uid},ou=people,${base}`;
  const entries = [
    [base, "objectClass: dcObject", "objectClass: organization", "dc: example", "o: Example"],
    [`ou=people,${base}`, "objectClass: organizationalUnit", "ou: people"],
    [`ou=groups,${base}`, "objectClass: organizationalUnit", "ou: groups"],
    [
      service.dn,
      "objectClass: organizationalRole",
      "objectClass: simpleSecurityObject",
      "cn: reader",
      `userPassword: ${service.password}`,
    ],
    [
      people,
      "objectClass: inetOrgPerson",
      `uid: ${person.uid}`,
      `cn: ${person.name}`,
      "sn: Hopper",
      `mail: ${person.email}`,
      `userPassword: ${person.password}`,
    ],
    [group, "objectClass: groupOfNames", "cn: ops", `member: ${people}`],
  ];
  const ldif = entries.map(([dn, ...lines]) => [`dn: ${dn}`, ...lines, ""].join("\n")).join("\n");
  await writeFile(at("people.ldif"), `${ldif}\n`);
  execFileSync(at("slapd"), ["-T", "add", "-f", at("slapd.conf"), "-l", at("people.ldif")], { stdio: "ignore" });
  const listen = `ldaps://127.0.0.1:${port}/`;
  const stop = await serve(at("slapd"), ["-d", "0", "-h", listen, "-f", at("slapd.conf")], port, dir);
  return { port, base, service, person, group, ca: await readFile(at("cert.pem"), "utf8"), stop };
}

/** An OpenID provider where `redirect` is registered; `person` sets what it says of someone. */
export async function startProvider(redirect) {
  const python = execFileSync(join(repository, "scripts/oidc-provider"), { encoding: "utf8" }).trim();
  const dir = await mkdtemp(join(tmpdir(), "holdfast-oidc-"));
  const port = await free();
  const program = join(repository, "appliance/web/tests/oidc_provider.py");
  const stop = await serve(python, [program, String(port)], port, dir);
  const url = `http://127.0.0.1:${port}`;
  const send = async (method, path, body) => {
    const headers = { "content-type": "application/json" };
    const answer = await fetch(url + path, { method, headers, body: JSON.stringify(body) });
    if (!answer.ok) throw new Error(`${path}: ${await answer.text()}`);
    return answer;
  };
  const client = await (await send("POST", "/oauth2/clients", { redirect_uris: [redirect] })).json();
  const person = (subject, claims) => send("PUT", `/users/${subject}`, claims);
  return { url, id: client.client_id, secret: client.client_secret, person, stop };
}
