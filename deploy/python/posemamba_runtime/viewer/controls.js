// The page's controls; `window.viewer.state()` tells what is shown.

(() => {
  const at = (id) => document.getElementById(id);
  const motion = readMotion();
  const { frames, times, people } = motion;
  const last = frames.length - 1;
  const speeds = [...at("speed").options].map((option) => option.value);
  const eye = { ...HOME };
  let theme = readTheme();
  let index = Math.max(0, frames.findIndex((_, i) => people.some((one) => one.rowAt[i] >= 0)));
  let playing = false, turning = false, moment = 0, clock = 0, waiting = false;

  const posesNow = () => people.map((one) => (one.shown ? poseAt(motion, one, index) : null));

  function draw() {
    waiting = false;
    const poses = posesNow();
    drawFlat(at("flat"), motion, poses, pictureAt(motion, index, redraw), theme);
    drawDeep(at("deep"), motion, poses, eye, theme);
  }

  function redraw() {
    if (!waiting) requestAnimationFrame(draw);
    waiting = true;
  }

  function show(next) {
    index = Math.min(Math.max(next, 0), last);
    const text = `frame ${frames[index]} · ${times[index].toFixed(2)} s`;
    at("scrub").value = index;
    at("scrub").setAttribute("aria-valuetext", text);
    at("clock").textContent = `${text} of ${times[last].toFixed(2)}`;
    redraw();
  }

  function seek(next) {
    show(next);
    moment = times[index];
  }

  function play(on) {
    playing = on && last > 0;
    if (playing && index === last) seek(0);
    moment = times[index];
    at("play").textContent = playing ? "❚❚" : "▶\ufe0e";
    at("play").setAttribute("aria-label", playing ? "Pause" : "Play");
    run();
  }

  function turn(on) {
    turning = on;
    at("turn").setAttribute("aria-pressed", String(on));
    run();
  }

  function run() {
    if (clock || !(playing || turning)) return;
    clock = performance.now();
    requestAnimationFrame(tick);
  }

  function tick(now) {
    const passed = Math.max(0, now - clock) / 1000;
    clock = now;
    if (turning) {
      eye.yaw += passed * 0.5;
      redraw();
    }
    if (playing) {
      moment += passed * Number(at("speed").value);
      let next = index;
      while (next < last && times[next + 1] <= moment) next++;
      if (next === last && moment > times[last]) { // again from the start
        next = 0;
        moment = times[0];
      }
      if (next !== index) show(next);
    }
    if (playing || turning) requestAnimationFrame(tick);
    else clock = 0;
  }

  function orbit(yaw, pitch, zoom = 1) {
    eye.yaw += yaw;
    eye.pitch = Math.min(Math.max(eye.pitch + pitch, -0.3), 1.55);
    eye.zoom = Math.min(Math.max(eye.zoom * zoom, 0.3), 6);
    redraw();
  }

  function reset() {
    turn(false);
    Object.assign(eye, HOME);
    redraw();
  }

  function faster(steps) {
    const now = speeds.indexOf(at("speed").value) + steps;
    at("speed").value = speeds[Math.min(Math.max(now, 0), speeds.length - 1)];
  }

  // Fingers or the mouse: one turns, two zoom by their distance.
  function listenToPointers(canvas) {
    const held = new Map();
    const spread = () => {
      const [a, b] = [...held.values()];
      return Math.hypot(a.x - b.x, a.y - b.y);
    };
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      held.set(event.pointerId, { x: event.clientX, y: event.clientY });
    });
    canvas.addEventListener("pointermove", (event) => {
      const before = held.get(event.pointerId);
      if (!before) return;
      const dx = event.clientX - before.x, dy = event.clientY - before.y;
      const apart = held.size === 2 ? spread() : 0;
      held.set(event.pointerId, { x: event.clientX, y: event.clientY });
      if (held.size === 1) orbit(-dx * 0.01, dy * 0.01);
      else if (held.size === 2 && apart > 0) orbit(0, 0, spread() / apart);
    });
    for (const kind of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(kind, (event) => held.delete(event.pointerId));
    }
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      orbit(0, 0, Math.exp(-event.deltaY * 0.0015));
    }, { passive: false });
    canvas.addEventListener("dblclick", reset);
  }

  const keys = {
    " ": () => play(!playing), k: () => play(!playing),
    ArrowLeft: (event) => seek(index - (event.shiftKey ? 10 : 1)),
    ArrowRight: (event) => seek(index + (event.shiftKey ? 10 : 1)),
    Home: () => seek(0), End: () => seek(last),
    "<": () => faster(-1), ",": () => faster(-1), ">": () => faster(1), ".": () => faster(1),
    t: () => turn(!turning), r: reset,
  };
  const orbitKeys = {
    ArrowLeft: () => orbit(0.1, 0), ArrowRight: () => orbit(-0.1, 0),
    ArrowUp: () => orbit(0, 0.08), ArrowDown: () => orbit(0, -0.08),
    "+": () => orbit(0, 0, 1.15), "=": () => orbit(0, 0, 1.15), "-": () => orbit(0, 0, 1 / 1.15),
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const target = event.target;
    // Sliders, menus and boxes have these keys themselves; a button has the space bar.
    if (target.matches("select, input") && event.key !== " ") return;
    if (target.matches("button, input[type=checkbox], select") && event.key === " ") return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const action = (target === at("deep") && orbitKeys[key]) || keys[key];
    if (!action) return;
    event.preventDefault();
    action(event);
  });

  function describe() {
    const { units, scene } = motion;
    const count = people.length === 1 ? "1 person" : `${people.length} persons`;
    const delay = motion.delay ? `, ${motion.delay} frames late` : "";
    at("facts").textContent = `${count}, ${frames.length} frames, lifted by ${motion.model}${delay}`;
    const square = units === "network" ? `${scene.step} network units, size unknown`
      : `${units === "mm" ? scene.step / 1000 : scene.step} m`;
    const where = scene.placed ? "places estimated"
      : people.length > 1 ? "set side by side" : "place unknown";
    at("ground").textContent = `floor squares ${square}; ${where}`;
    const item = (text, swatch, fill) => {
      const entry = document.createElement("li");
      entry.textContent = text;
      entry.style.setProperty("--swatch", swatch);
      if (fill) entry.style.setProperty("--fill", fill);
      at("legend").append(entry);
    };
    if (people.length === 1) {
      item("left", "var(--c0)");
      item("right", "var(--c1)");
    } else {
      item("thin: right side", "var(--muted)");
    }
    item("hollow: filled in", "var(--muted)", "transparent");
    if (people.length > 1) people.forEach(addSwitch);
  }

  function addSwitch(one, number) {
    const label = document.createElement("label"), box = document.createElement("input");
    box.type = "checkbox";
    box.checked = true;
    box.style.accentColor = `var(--c${number % theme.people.length})`;
    box.addEventListener("change", () => { one.shown = box.checked; redraw(); });
    label.style.color = `var(--c${number % theme.people.length})`;
    label.append(box, `person ${one.person}`);
    at("people").append(label);
  }

  at("scrub").max = last;
  at("scrub").addEventListener("input", () => { play(false); seek(Number(at("scrub").value)); });
  at("play").addEventListener("click", () => play(!playing));
  at("back").addEventListener("click", () => { play(false); seek(index - 1); });
  at("on").addEventListener("click", () => { play(false); seek(index + 1); });
  at("turn").addEventListener("click", () => turn(!turning));
  at("reset").addEventListener("click", reset);
  listenToPointers(at("deep"));
  new ResizeObserver(redraw).observe(at("deep"));
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    theme = readTheme();
    redraw();
  });
  describe();
  seek(index);

  window.viewer = {
    state: () => ({
      index, frame: frames[index], time: times[index], playing, turning, eye: { ...eye },
      people: people.map((one, n) => ({ person: one.person, pose: posesNow()[n] })),
    }),
  };
})();
