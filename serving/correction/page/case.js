// The page of one case. Every angle, line and interval comes from the server; this file only moves points.
const NS = "http://www.w3.org/2000/svg";
const $ = (id) => document.getElementById(id);
const views = {};
let asked, data, selected, lastMoved = null, base = {}, dirty = false, pending = 0, timer, undone = [], done = [];

const clone = (points) => JSON.parse(JSON.stringify(points));
const points = () => Object.fromEntries(Object.entries(views).map(([name, view]) => [name, view.points]));
const same = (a, b) => a === b || (a && b && a[0] === b[0] && a[1] === b[1]);
const isMoved = (view, name) => !same(views[view].points[name], base[view][name]);

function say(text, kind = "") {
  $("status").textContent = text;
  $("status").className = kind;
}

function make(kind, attributes = {}, parent) {
  const element = document.createElementNS(NS, kind);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (parent) parent.append(element);
  return element;
}

async function ask(path, body) {
  const options = body === undefined ? {} : {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
  };
  const answer = await fetch(path, options);
  const found = await answer.json();
  if (!answer.ok) throw Object.assign(new Error(`${found.code}: found ${found.found}; ${found.remedy}`), { code: found.code });
  return found;
}

// One radiograph: an SVG whose view box is the visible part.

class View {
  constructor(name, given) {
    Object.assign(this, { name, points: given.points, size: given.size, names: given.names });
    views[name] = this;
    base[name] = clone(given.points);
    const box = document.createElement("div");
    box.className = "view";
    box.innerHTML = '<div class="bar"><span class="name"></span><button class="in" title="Zoom in: +">+</button>'
      + '<button class="out" title="Zoom out: −">−</button><button class="whole" title="Whole image: 0">whole</button>'
      + '<label>level <input type="range" class="level" min="0" max="255" value="128"></label>'
      + '<label>window <input type="range" class="window" min="10" max="510" value="255"></label></div>';
    box.querySelector(".name").textContent = name;
    this.svg = make("svg", { tabindex: "0", role: "application", "aria-label": `${name} radiograph` });
    const filter = make("filter", { id: `grey-${name}`, "color-interpolation-filters": "sRGB", x: 0, y: 0, width: 1, height: 1 }, make("defs", {}, this.svg));
    const transfer = make("feComponentTransfer", {}, filter);
    this.functions = ["R", "G", "B"].map((c) => make(`feFunc${c}`, { type: "linear", slope: 1, intercept: 0 }, transfer));
    make("image", { href: given.image, width: this.size[0], height: this.size[1], x: 0, y: 0, filter: `url(#grey-${name})` }, this.svg);
    this.lines = make("g", {}, this.svg);
    this.dots = make("g", {}, this.svg);
    box.append(this.svg);
    $("views").append(box);
    this.box = box;
    this.listen();
    this.whole();
  }

  listen() {
    const q = (selector) => this.box.querySelector(selector);
    q(".in").onclick = () => this.zoom(1 / 1.4);
    q(".out").onclick = () => this.zoom(1.4);
    q(".whole").onclick = () => this.whole();
    for (const range of [q(".level"), q(".window")]) range.oninput = () => this.grey();
    this.svg.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.zoom(event.deltaY > 0 ? 1.2 : 1 / 1.2, this.at(event));
    }, { passive: false });
    this.svg.addEventListener("pointerdown", (event) => this.press(event));
    this.svg.addEventListener("keydown", (event) => keys(event, this));
    new ResizeObserver(() => this.draw()).observe(this.svg);
  }

  grey() {
    const level = Number(this.box.querySelector(".level").value), width = Number(this.box.querySelector(".window").value);
    for (const f of this.functions) {
      f.setAttribute("slope", 255 / width);
      f.setAttribute("intercept", 0.5 - level / width);
    }
  }

  whole() { this.show({ x: 0, y: 0, w: this.size[0], h: this.size[1] }); }

  show(part) {
    this.part = part;
    this.svg.setAttribute("viewBox", `${part.x} ${part.y} ${part.w} ${part.h}`);
    this.draw();
  }

  zoom(factor, centre) {
    const p = this.part, c = centre || [p.x + p.w / 2, p.y + p.h / 2];
    const w = Math.min(Math.max(p.w * factor, 20), 2 * this.size[0]), f = w / p.w;
    this.show({ x: c[0] - (c[0] - p.x) * f, y: c[1] - (c[1] - p.y) * f, w, h: p.h * f });
  }

  // Image pixels a screen pixel covers; the SVG keeps the aspect of the image.
  scale() {
    const box = this.svg.getBoundingClientRect();
    return Math.max(this.part.w / Math.max(box.width, 1), this.part.h / Math.max(box.height, 1));
  }

  // Position of a pointer in the pixels of the radiograph; an integer is a pixel's centre.
  at(event) {
    const place = new DOMPoint(event.clientX, event.clientY).matrixTransform(this.svg.getScreenCTM().inverse());
    return [place.x - 0.5, place.y - 0.5];
  }

  press(event) {
    const name = event.target.dataset ? event.target.dataset.name : undefined;
    if (event.button !== 0) return;
    if (name) return this.drag(event, name);
    if (this.svg.classList.contains("placing") && !event.altKey) {
      const place = this.at(event);
      const next = selected.name;
      remember();
      this.put(next, place);
      changed();
      const absent = this.names.slice(this.names.indexOf(next) + 1).find((n) => !this.points[n]) || this.names.find((n) => !this.points[n]);
      if (absent) select(this.name, absent);
      this.svg.focus();
      return;
    }
    const start = [event.clientX, event.clientY], part = this.part, scale = this.scale();
    this.svg.classList.add("panning");
    this.follow(event, (e) => this.show({ ...part, x: part.x - (e.clientX - start[0]) * scale, y: part.y - (e.clientY - start[1]) * scale }),
      () => this.svg.classList.remove("panning"));
  }

  drag(event, name) {
    event.preventDefault();
    select(this.name, name, true);
    const begin = this.at(event), from = [...this.points[name]];
    let moved = false;
    this.follow(event, (e) => {
      const to = this.at(e);
      if (!moved) remember();
      moved = true;
      this.put(name, [from[0] + to[0] - begin[0], from[1] + to[1] - begin[1]]);
      changed();
    });
  }

  follow(event, move, end = () => {}) {
    this.svg.setPointerCapture(event.pointerId);
    const stop = () => {
      this.svg.removeEventListener("pointermove", move);
      this.svg.removeEventListener("pointerup", stop);
      this.svg.removeEventListener("pointercancel", stop);
      end();
    };
    this.svg.addEventListener("pointermove", move);
    this.svg.addEventListener("pointerup", stop);
    this.svg.addEventListener("pointercancel", stop);
  }

  put(name, place) {
    lastMoved = [this.name, name];
    const inside = (value, most) => Math.round(Math.min(Math.max(value, 0), most - 1) * 100) / 100;
    this.points[name] = [inside(place[0], this.size[0]), inside(place[1], this.size[1])];
  }

  draw() {
    if (!this.part) return;
    const unit = this.scale(), focused = this.dots.contains(document.activeElement);
    this.dots.replaceChildren();
    for (const name of this.names) {
      const place = this.points[name];
      if (!place) continue;
      const isSelected = selected && selected.view === this.name && selected.name === name;
      const dot = make("circle", { cx: place[0] + 0.5, cy: place[1] + 0.5, r: (isSelected ? 5 : 3) * unit, "data-name": name,
        class: `point${isMoved(this.name, name) ? " moved" : ""}${isSelected ? " selected" : ""}`,
        tabindex: isSelected ? 0 : -1, role: "img", "aria-label": `${label(name)}, column ${place[0]}, row ${place[1]}` }, this.dots);
      make("title", {}, dot).textContent = label(name);
      if (isSelected && focused) dot.focus({ preventScroll: true });
    }
    for (const text of this.lines.querySelectorAll("text")) {
      text.setAttribute("font-size", (text.dataset.size || 13) * unit);
      text.setAttribute("stroke-width", 3 * unit);
    }
    this.svg.classList.toggle("placing", Boolean(selected && selected.view === this.name && !this.points[selected.name]));
    this.box.classList.toggle("current", Boolean(selected && selected.view === this.name));
  }

  drawLines(drawn) {
    this.lines.replaceChildren();
    const flat = (line) => line.map((p) => `${p[0] + 0.5},${p[1] + 0.5}`).join(" ");
    for (const line of drawn.outline) make("polyline", { points: flat(line.points), class: `outline ${line.kind}` }, this.lines);
    for (const each of drawn.constructions) {
      const style = { stroke: each.colour, "stroke-width": each.width };
      for (const line of each.lines) make("polyline", { points: flat(line), ...style }, this.lines);
      for (const line of each.references) make("polyline", { points: flat(line), class: "dashed", ...style }, this.lines);
      this.text(each.text, each.at, each.anchor, each.colour, 15);
    }
    for (const each of drawn.labels) this.text(each.text, each.at, each.anchor, "#ecf0f5", 11);
    this.draw();
  }

  text(words, at, anchor, colour, size) {
    if (at[0] > 0.85 * this.size[0] && anchor === "left") [at, anchor] = [[this.size[0], at[1]], "right"];
    const text = make("text", { x: at[0] + 0.5, y: at[1] + 0.5, "text-anchor": { right: "end", left: "start" }[anchor] || "middle",
      "dominant-baseline": "central", "data-size": size }, this.lines);
    text.style.fill = colour;
    text.textContent = words;
  }
}

// The selected point.

const label = (name) => data.labels[name] || name;

function select(view, name, focus = false) {
  selected = { view, name };
  $("point").value = `${view}/${name}`;
  for (const each of Object.values(views)) each.draw();
  const place = views[view].points[name];
  $("place").textContent = place ? `column ${place[0]}, row ${place[1]}${isMoved(view, name) ? ", set by hand" : ""}`
    : "not visible: click into the image to place it";
  $("remove").disabled = !place;
  $("reset").disabled = !isMoved(view, name);
  if (focus) views[view].dots.querySelector(".selected")?.focus({ preventScroll: true });
}

function step(by) {
  const options = [...$("point").options], at = options.findIndex((o) => o.value === $("point").value);
  const [view, name] = options[(at + by + options.length) % options.length].value.split("/");
  select(view, name, true);
}

function keys(event, view) {
  const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
  const mine = selected && selected.view === view.name, place = mine && view.points[selected.name];
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (moves && place) {
    const by = event.shiftKey ? 10 : 1;
    if (!event.repeat) remember();
    view.put(selected.name, [place[0] + by * moves[0], place[1] + by * moves[1]]);
    changed();
  } else if (event.key === "PageDown") step(1);
  else if (event.key === "PageUp") step(-1);
  else if (event.key === "Delete" && place) takeAway();
  else if (event.key === "Insert" && mine && !place) {
    remember();
    view.put(selected.name, [view.part.x + view.part.w / 2, view.part.y + view.part.h / 2]);
    changed();
    select(view.name, selected.name, true);
  } else if (event.key === "+") view.zoom(1 / 1.4);
  else if (event.key === "-") view.zoom(1.4);
  else if (event.key === "0") view.whole();
  else return;
  event.preventDefault();
}

// Changes.

function remember() {
  done.push(clone(points()));
  undone = [];
}

function restore(from, to) {
  if (!from.length) return;
  to.push(clone(points()));
  const before = from.pop();
  for (const [name, view] of Object.entries(views)) view.points = before[name];
  lastMoved = null;
  changed();
}

function takeAway() {
  remember();
  delete views[selected.view].points[selected.name];
  lastMoved = null;
  changed();
}

function changed() {
  dirty = Object.keys(views).some((view) => views[view].names.some((name) => isMoved(view, name)));
  say(dirty ? "Changed, not saved" : "As opened", dirty ? "unsaved" : "");
  if (selected) select(selected.view, selected.name);
  for (const view of Object.values(views)) view.draw();
  buttons();
  clearTimeout(timer);
  timer = setTimeout(measure, 120);
}

async function measure() {
  const mine = ++pending;
  try {
    const found = await ask("measure", { points: points(), moved: lastMoved });
    if (mine !== pending) return;
    // A point that was moved in one image is at the same height in the other one.
    for (const [name, view] of Object.entries(views)) view.points = found.points[name] || view.points;
    show(found);
  } catch (error) {
    say(error.message, "problem");
  }
}

function show(found) {
  const body = $("values").tBodies[0];
  body.replaceChildren();
  for (const row of found.values) {
    const line = body.insertRow();
    line.dataset.parameter = row.parameter;
    if (row.changed) line.className = "changed";
    line.insertCell().textContent = row.label;
    if (row.remark) line.cells[0].append(Object.assign(document.createElement("small"), { textContent: row.remark }));
    line.insertCell().textContent = row.value;
    line.insertCell().textContent = row.interval;
  }
  $("classes").replaceChildren(...[...found.classes, ...found.absences].map((text) => Object.assign(document.createElement("li"), { textContent: text })));
  for (const [name, view] of Object.entries(views)) view.drawLines(found.drawn[name]);
  document.body.dataset.measured = String(pending);
}

function buttons() {
  const named = data.identity || $("who").value.trim(), any = Object.values(views).some((view) => Object.keys(view.points).length);
  $("undo").disabled = !done.length;
  $("redo").disabled = !undone.length;
  const asProposed = Object.entries(views).every(([view, each]) => each.names.every((n) => same(each.points[n], data.views[view].proposal[n])));
  $("accept").disabled = !asProposed || !data.proposed || !named;
  $("correct").disabled = !dirty || !any || asProposed || !named;
  $("reject").disabled = !data.proposed || !named || !$("reason").value.trim();
}

async function save(decision) {
  const all = Object.values(views).filter((view) => Object.keys(view.points).length);
  const placed = all.reduce((n, view) => n + Object.keys(view.points).length, 0), most = all.reduce((n, view) => n + view.names.length, 0);
  if (!data.proposed && placed < most && asked !== placed) {
    asked = placed;
    return say(`${placed} of ${most} points are placed. In training, the others count as not visible. Press again to save.`, "unsaved");
  }
  try {
    const saved = await ask("record", { decision, points: points(), reason: $("reason").value.trim(), who: data.identity || $("who").value.trim(), after: data.version });
    data.version = saved.version;
    base = clone(points());
    done = [], undone = [];
    changed();
    say(`Saved as record ${saved.version}: ${saved.decision} by ${saved.who}`);
  } catch (error) {
    say(error.code === "CORRECTION_CONFLICT" ? `${error.message}. Your points are lost when you load the page again: note them first.` : error.message, "problem");
  }
}

// Begin.

function fillPoints() {
  for (const [view, each] of Object.entries(views)) {
    const group = $("point").appendChild(Object.assign(document.createElement("optgroup"), { label: view }));
    for (const name of each.names) group.append(new Option(label(name), `${view}/${name}`));
  }
}

async function begin() {
  data = await ask("data");
  for (const [name, given] of Object.entries(data.views)) new View(name, given);
  $("about").textContent = data.about;
  $("named").hidden = Boolean(data.identity);
  $("correct").textContent = data.proposed ? "Save correction" : "Save landmarks";
  $("accept").hidden = $("reject").hidden = $("hint").hidden = $("why").hidden = !data.proposed;
  if (data.simulated) $("banner").textContent = "Model trained on simulated data · not for diagnosis";
  fillPoints();
  const [view] = Object.keys(views);
  select(view, views[view].names.find((n) => data.proposed ? views[view].points[n] : !views[view].points[n]) || views[view].names[0]);
  show(data.result);
  buttons();
  say(data.saved || (data.proposed ? "As the model proposes" : "Click to place the points in order"));
}

$("point").onchange = () => select(...$("point").value.split("/"), true);
$("previous").onclick = () => step(-1);
$("next").onclick = () => step(1);
$("remove").onclick = takeAway;
$("reset").onclick = () => {
  const { view, name } = selected, before = base[view][name];
  remember();
  if (before) views[view].points[name] = [...before];
  else delete views[view].points[name];
  lastMoved = null;
  changed();
};
$("undo").onclick = () => restore(done, undone);
$("redo").onclick = () => restore(undone, done);
$("who").oninput = $("reason").oninput = buttons;
for (const [id, decision] of [["accept", "accepted"], ["correct", "corrected"], ["reject", "rejected"]]) $(id).onclick = () => save(decision);
document.addEventListener("keydown", (event) => {
  if (!(event.ctrlKey || event.metaKey) || event.target.matches("textarea, input")) return;
  const key = event.key.toLowerCase();
  if (key === "z" && !event.shiftKey) restore(done, undone);
  else if (key === "y" || key === "z") restore(undone, done);
  else return;
  event.preventDefault();
});
addEventListener("beforeunload", (event) => dirty && event.preventDefault());
begin().catch((error) => say(error.message, "problem"));
