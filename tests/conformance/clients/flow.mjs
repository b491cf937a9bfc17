// The official JavaScript client through the verbs, in one namespace (the argument) that has a pod `web`. Prints what it
// has seen as one line of JSON.
import net from "node:net";
import { PassThrough } from "node:stream";
import * as k8s from "@kubernetes/client-node";

const namespace = process.argv[2];
const config = new k8s.KubeConfig();
config.loadFromDefault();
const core = config.makeApiClient(k8s.CoreV1Api);
const seen = {};

const code = async (promise) => promise.then(() => 0, (error) => error.code ?? String(error));
const patch = async (body, type, more = {}) =>
  core.patchNamespacedConfigMap({ name: "words", namespace, body, ...more }, k8s.setHeaderOptions("Content-Type", type));
const text = (stream) => { stream.text = ""; stream.on("data", (piece) => { stream.text += piece; }); return stream; };

const created = await core.createNamespacedConfigMap({ namespace, body: { metadata: { name: "words", labels: { app: "x" } }, data: { a: "b" } } });
seen.created = created.data.a;
seen.listed = (await core.listNamespacedConfigMap({ namespace, labelSelector: "app=x" })).items.map((each) => each.metadata.name);

const watched = [];
const watching = new Promise((resolve, reject) => {
  const path = `/api/v1/namespaces/${namespace}/configmaps`;
  const from = { resourceVersion: String(created.metadata.resourceVersion - 1), labelSelector: "app=x" };
  new k8s.Watch(config).watch(path, from, (type) => {
    if (watched.at(-1) !== type) watched.push(type);
    if (type === "DELETED") resolve();
  }, (error) => (error ? reject(error) : resolve())).catch(reject);
});

seen.merged = (await patch({ data: { a: "c" } }, k8s.PatchStrategy.MergePatch)).data.a;
seen.json = (await patch([{ op: "replace", path: "/data/a", value: "d" }], k8s.PatchStrategy.JsonPatch)).data.a;
seen.strategic = (await patch({ data: { a: "e" } }, k8s.PatchStrategy.StrategicMergePatch)).data.a;
const applied = { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "words" }, data: { a: "f" } };
seen.applied = (await patch(applied, k8s.PatchStrategy.ServerSideApply, { fieldManager: "js", force: true })).data.a;
seen.conflict = await code(core.replaceNamespacedConfigMap({ name: "words", namespace, body: created }));
await core.deleteNamespacedConfigMap({ name: "words", namespace });
await watching;
seen.watched = watched;
seen.missing = await code(core.readNamespacedConfigMap({ name: "words", namespace }));
seen.logs = await core.readNamespacedPodLog({ name: "web", namespace });

const out = text(new PassThrough()), err = text(new PassThrough());
const status = await new Promise((resolve, reject) => {
  const command = ["sh", "-c", "echo out; echo err >&2; exit 3"];
  new k8s.Exec(config).exec(namespace, "web", "main", command, out, err, null, false, resolve).catch(reject);
});
await new Promise(setImmediate);
seen.exec = { out: out.text, err: err.text, status: status.status, code: status.details.causes.find((each) => each.reason === "ExitCode").message };

const forward = new k8s.PortForward(config);
const server = net.createServer((socket) => { forward.portForward(namespace, "web", [8080], socket, null, socket); });
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
seen.forwarded = await new Promise((resolve, reject) => {
  const client = text(net.connect(server.address().port, "127.0.0.1"));
  client.on("data", () => { if (client.text.includes("hello")) { resolve(true); client.destroy(); } });
  client.on("error", reject);
  client.write("GET / HTTP/1.0\r\n\r\n");
});
server.close();

const informer = k8s.makeInformer(config, `/api/v1/namespaces/${namespace}/configmaps`, () => core.listNamespacedConfigMap({ namespace, labelSelector: "app=informed" }), "app=informed");
const informed = new Promise((resolve) => informer.on("add", (each) => resolve([each.metadata.name])));
await informer.start();
await core.createNamespacedConfigMap({ namespace, body: { metadata: { name: "informed", labels: { app: "informed" } } } });
seen.informed = await informed;
await informer.stop();
console.log(JSON.stringify(seen));
process.exit(0);
