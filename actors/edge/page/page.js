const byId = (id) => document.getElementById(id);
const pollMs = 2000;
const examples = ["7350+7994", "roman 982", "reverse gasiti", "Aug 4+19d", "sort hand dawn bell"];
let running = null;

function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

const percent = (part, whole) => whole === 0 ? "–" : `${(100 * part / whole).toFixed(1)} %`;
const number = (value) => value === null ? "–" : value.toFixed(3);
const shade = (index, count) => `l${count < 3 ? index * 2 % 4 : Math.min(index, 3)}`;

function duration(seconds) {
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor(seconds % 3600 / 60)} min`;
}

async function poll() {
  try {
    if (!document.hidden) await refresh();
  } catch {
    showState("no answer from the server", "bad");
  }
  setTimeout(poll, pollMs);
}

async function refresh() {
  const response = await fetch("/status");
  const status = await response.json();
  if (!response.ok) return showState(status.error.message, "bad");
  const ready = status.families.every((family) => family.ready);
  const state = status.draining ? "stopping" : ready ? "ready" : "not ready";
  showState(state, state === "ready" ? "good" : "bad");
  showFacts(status);
  byId("families").replaceChildren(...status.families.map(familyCard));
  showNodes(status.nodes);
  byId("key-label").hidden = !status.key_needed;
  showModels(status.families);
}

function showState(text, kind) {
  const state = byId("state");
  if (state.textContent !== text) state.textContent = text;
  state.className = `pill ${kind}`;
}

function showFacts(status) {
  const facts = [["up", duration(status.uptime_seconds)], ["at work", status.in_flight], [
    "version",
    status.version,
  ]];
  const nodes = facts.map(([name, value]) =>
    element("div", {}, element("dt", {}, name), element("dd", {}, String(value)))
  );
  byId("facts").replaceChildren(...nodes);
}

function familyCard(family) {
  const title = element("h3", { class: "name" }, family.family);
  const state = element("span", { class: `pill ${family.ready ? "good" : "bad"}` });
  state.append(family.ready ? "ready" : "not ready");
  const card = element("article", { class: "card" }, element("header", {}, title, state));
  if (family.error) {
    card.append(element("p", { class: "quiet" }, family.error));
    return card;
  }
  const { running, finished, failed } = family.requests;
  const counts = `${running} running · ${finished} finished · ${failed} failed`;
  card.append(shareBar(family), levelTable(family), element("p", { class: "quiet" }, counts));
  return card;
}

const answeredBy = (family, level) => family.answered[level.name] ?? 0;

function shareBar(family) {
  const counts = family.levels.map((level) => answeredBy(family, level));
  const total = counts.reduce((sum, count) => sum + count, 0);
  const label = family.levels.map((level, i) => `${level.name} ${percent(counts[i], total)}`);
  const bar = element("div", { class: "share", role: "img" });
  bar.setAttribute("aria-label", `Share answered by each level: ${label.join(", ")}`);
  counts.forEach((count, i) => {
    if (count === 0) return;
    const piece = element("span", { class: shade(i, counts.length) });
    piece.style.flexGrow = String(count);
    bar.append(piece);
  });
  return bar;
}

function levelTable(family) {
  const total = family.levels.reduce((sum, level) => sum + answeredBy(family, level), 0);
  const heads = ["Level", "Answered", "Threshold", "Context", "Replicas", "At work", "Cache"];
  const head = heads.map((text, i) =>
    element("th", { scope: "col", class: i ? "number" : "" }, text)
  );
  const rows = family.levels.map((level, i) =>
    levelRow(level, {
      share: percent(answeredBy(family, level), total),
      colour: shade(i, family.levels.length),
    })
  );
  return tableOf(head, rows);
}

function tableOf(head, rows) {
  const table = element("table", {});
  table.append(element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...rows));
  return element("div", { class: "scroll" }, table);
}

/** A node that is alone is not worth a table. */
function showNodes(nodes) {
  byId("cluster").hidden = nodes.length < 2;
  const head = ["Node", "State", "Version", "Devices", "Hosts"]
    .map((text) => element("th", { scope: "col" }, text));
  byId("nodes").replaceChildren(tableOf(head, nodes.map(nodeRow)));
}

function nodeRow({ name, draining, version, devices, hosts }) {
  const cells = [
    draining ? "draining" : "serving",
    version,
    devices.map((device) => `${device.name} ${(device.memory_bytes / 1e9).toFixed(1)} GB`).join(
      ", ",
    ),
    Object.entries(hosts).map(([kind, count]) => `${count} ${kind}`).join(", ") || "nothing",
  ];
  const head = element("th", { scope: "row" }, name);
  return element("tr", {}, head, ...cells.map((text) => element("td", {}, text)));
}

function levelRow(level, { share, colour }) {
  const sum = (pick) => level.replicas.reduce((total, replica) => total + pick(replica), 0);
  const alive = level.replicas.filter((replica) => replica.alive).length;
  const name = element("th", { scope: "row", title: level.model });
  name.append(element("span", { class: `swatch ${colour}` }), `${level.name} `);
  name.append(element("span", { class: "quiet" }, level.architecture));
  const cells = [
    share,
    number(level.threshold),
    String(level.context),
    `${alive}/${level.replicas.length}`,
    `${sum((replica) => replica.running)} + ${sum((replica) => replica.waiting)}`,
    percent(sum((replica) => replica.pages[0]), sum((replica) => replica.pages[1])),
  ];
  return element("tr", {}, name, ...cells.map((text) => element("td", { class: "number" }, text)));
}

function showModels(families) {
  const names = families.flatMap((family) => [
    family.family,
    ...(family.levels ?? []).map((level) => `${family.family}/${level.name}`),
  ]);
  const select = byId("model");
  if ([...select.options].map((option) => option.value).join() === names.join()) return;
  const chosen = select.value;
  select.replaceChildren(...names.map((name) => element("option", { value: name }, name)));
  if (names.includes(chosen)) select.value = chosen;
  showExamples(names.includes("zoo"));
}

function showExamples(known) {
  const buttons = examples.map((text) => {
    const button = element("button", { type: "button", class: "example" }, text);
    button.addEventListener("click", () => {
      byId("prompt").value = text;
      byId("prompt").focus();
    });
    return button;
  });
  byId("examples").replaceChildren(...buttons);
  byId("examples").hidden = !known;
}

async function send(event) {
  event.preventDefault();
  running = new AbortController();
  byId("answer").textContent = "";
  byId("error").textContent = "";
  byId("path").replaceChildren();
  setBusy(true);
  try {
    await stream(running.signal);
  } catch (error) {
    if (error.name !== "AbortError") byId("error").textContent = error.message;
  }
  setBusy(false);
}

function setBusy(busy) {
  byId("send").disabled = busy;
  byId("stop").disabled = !busy;
}

async function stream(signal) {
  const key = byId("key").value;
  const response = await fetch("/v1/chat/completions", {
    method: "POST",
    signal,
    headers: {
      "content-type": "application/json",
      ...(key === "" ? {} : { authorization: `Bearer ${key}` }),
    },
    body: JSON.stringify({
      model: byId("model").value,
      stream: true,
      temperature: Number(byId("temperature").value),
      messages: [{ role: "user", content: byId("prompt").value }],
    }),
  });
  if (!response.ok) throw new Error((await response.json()).error.message);
  let rest = "";
  const decoder = new TextDecoder();
  for (const reader = response.body.getReader();;) {
    const { done, value } = await reader.read();
    if (done) return;
    const events = (rest + decoder.decode(value, { stream: true })).split("\n\n");
    rest = events.pop();
    events.forEach(showEvent);
  }
}

function showEvent(event) {
  const data = event.replace(/^data: /, "");
  if (data === "[DONE]") return;
  const chunk = JSON.parse(data);
  if (chunk.error) throw new Error(chunk.error.message);
  byId("answer").append(chunk.choices[0]?.delta.content ?? "");
  if (chunk.tandem) byId("path").replaceChildren(...chunk.tandem.path.map(visit));
}

function visit({ level, outcome, confidence, threshold, tokens, milliseconds }) {
  const compared = threshold === null ? "" : `, threshold ${number(threshold)}`;
  const text = ` ${outcome} · confidence ${number(confidence)}${compared} · ${tokens} tokens · ${
    milliseconds.toFixed(0)
  } ms`;
  return element("li", { class: outcome }, element("strong", {}, level), text);
}

byId("try").addEventListener("submit", send);
byId("stop").addEventListener("click", () => running?.abort());
poll();
