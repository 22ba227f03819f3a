// A real OAuth 2 server for tests: node provider.mjs, with its settings as JSON on standard input.
// It issues tokens to one client, and prints its issuer once it listens.
import { readFileSync } from "node:fs";
import https from "node:https";
import { Provider } from "oidc-provider";

const { key, certificate, client } = JSON.parse(readFileSync(0));
const server = https.createServer({ key: readFileSync(key), cert: readFileSync(certificate) });
server.listen(0, "127.0.0.1", () => {
  const issuer = `https://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [client],
    scopes: ["notices"],
    features: {
      clientCredentials: { enabled: true },
      introspection: { enabled: true },
      revocation: { enabled: true },
    },
  });
  server.on("request", provider.callback());
  console.log(issuer);
});
