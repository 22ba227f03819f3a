// A real OpenID Connect provider for tests: node oidc_provider.mjs, with its settings as JSON on
// standard input. It prints its issuer once it listens.
import { readFileSync } from "node:fs";
import https from "node:https";
import { Provider } from "oidc-provider";

const { key, certificate, client, people } = JSON.parse(readFileSync(0));
const server = https.createServer({ key: readFileSync(key), cert: readFileSync(certificate) });
server.listen(0, "127.0.0.1", () => {
  const issuer = `https://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [client],
    claims: { openid: ["sub"], profile: ["preferred_username", "groups"], email: ["email"] },
    pkce: { required: () => true },
    findAccount: (_, id) => ({
      accountId: id,
      claims: () => ({ sub: id, ...people[id] }),
    }),
  });
  server.on("request", provider.callback());
  console.log(issuer);
});
