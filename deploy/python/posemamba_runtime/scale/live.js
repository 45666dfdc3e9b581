// Live skeletons of chosen cameras; `window.live.state()` tells what is shown.

(() => {
  const SHOWN_AT_FIRST = 4, GONE_MS = 3000, RETRY_MS = 1000;
  const at = (id) => document.getElementById(id);
  const body = JSON.parse(at("body").textContent);
  const eye = { ...HOME };
  const cameras = new Map(); // name to { box, section, canvas, people, height, count }
  let theme = readTheme();
  let socket = null, waiting = false, chose = false;

  function redraw() {
    if (!waiting) requestAnimationFrame(draw);
    waiting = true;
  }

  function draw() {
    waiting = false;
    const now = performance.now();
    for (const camera of cameras.values()) {
      if (!camera.section) continue;
      for (const [person, pose] of camera.people) {
        if (now - pose.seen > GONE_MS) camera.people.delete(person);
      }
      const poses = [...camera.people.values()];
      drawDeep(camera.canvas, {
        people: poses, parents: body.parents, sides: body.sides,
        scene: { reach: camera.height * 0.6 * Math.max(1, poses.length), height: camera.height, step: camera.step },
      }, poses, eye, theme);
    }
  }

  // As the viewer stands people: y up from the floor, z towards the camera, side by side.
  function take(message) {
    const camera = cameras.get(message.camera);
    if (!camera || !camera.section) return;
    const flipped = message.joints.map(([x, y, z]) => [x, -y, -z]);
    const floor = Math.min(...flipped.map((joint) => joint[1]));
    const height = Math.max(...flipped.map((joint) => joint[1])) - floor;
    camera.height = Math.max(camera.height, height, 1e-3);
    camera.step = message.units === "network" ? 0.5 : message.units === "mm" ? 1000 : 1;
    const known = [...new Set([...camera.people.keys(), message.person])].sort((a, b) => a - b);
    const shift = known.indexOf(message.person) * camera.height * 0.8;
    const filled = body.parents.map((_, joint) => message.filled.includes(joint));
    camera.people.set(message.person, {
      scene: flipped.map(([x, y, z]) => [x + shift, y - floor, z]), filled,
      seen: performance.now(), frame: message.frame,
    });
    camera.count += 1;
    camera.label.textContent = `frame ${message.frame}`;
    redraw();
  }

  function list(names) {
    for (const name of names) if (!cameras.has(name)) add(name);
    for (const name of [...cameras.keys()]) if (!names.includes(name)) remove(name);
    if (!chose && cameras.size) {
      [...cameras.keys()].slice(0, SHOWN_AT_FIRST).forEach((name) => show(name, true));
      chose = true;
      choose();
    }
    at("facts").textContent = names.length === 1 ? "1 camera" : `${names.length} cameras`;
  }

  function add(name) {
    const label = document.createElement("label"), box = document.createElement("input");
    box.type = "checkbox";
    box.addEventListener("change", () => { show(name, box.checked); choose(); });
    label.append(box, name);
    at("cameras").append(label);
    cameras.set(name, { box, entry: label, section: null, people: new Map(), height: 0, step: 0.5, count: 0 });
  }

  function remove(name) {
    show(name, false);
    cameras.get(name).entry.remove();
    cameras.delete(name);
  }

  function show(name, on) {
    const camera = cameras.get(name);
    camera.box.checked = on;
    if (on === Boolean(camera.section)) return;
    if (!on) {
      camera.section.remove();
      camera.section = null;
      return;
    }
    const section = document.createElement("section"), title = document.createElement("h2");
    const canvas = document.createElement("canvas"), label = document.createElement("span");
    title.append(`${name} `, label);
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `Poses of ${name}`);
    section.append(title, canvas);
    at("grid").append(section);
    Object.assign(camera, { section, canvas, label });
    turnBy(canvas);
    redraw();
  }

  function turnBy(canvas) {
    canvas.style.touchAction = "none";
    canvas.addEventListener("pointermove", (event) => {
      if (!(event.buttons & 1)) return;
      eye.yaw -= event.movementX * 0.01;
      eye.pitch = Math.min(Math.max(eye.pitch + event.movementY * 0.01, -0.3), 1.55);
      redraw();
    });
  }

  function choose() {
    if (!socket || socket.readyState !== WebSocket.OPEN) return;
    const names = [...cameras].filter(([, camera]) => camera.section).map(([name]) => name);
    socket.send(JSON.stringify({ watch: names }));
  }

  function connect() {
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    const token = new URLSearchParams(location.search).get("token");
    const query = token ? `?token=${encodeURIComponent(token)}` : "";
    socket = new WebSocket(`${scheme}//${location.host}/watch${query}`);
    socket.addEventListener("open", choose);
    socket.addEventListener("message", (event) => {
      const message = JSON.parse(event.data);
      if (message.cameras) list(message.cameras);
      else take(message);
    });
    socket.addEventListener("close", () => {
      at("facts").textContent = "no connection: trying again";
      setTimeout(connect, RETRY_MS);
    });
  }

  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    theme = readTheme();
    redraw();
  });
  window.addEventListener("resize", redraw);
  setInterval(redraw, GONE_MS);
  connect();

  window.live = {
    state: () => [...cameras].map(([name, camera]) => ({
      name, shown: Boolean(camera.section), count: camera.count,
      frames: [...camera.people.values()].map((pose) => pose.frame),
    })),
  };
})();
