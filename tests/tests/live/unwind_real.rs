//! Call stacks of real programs, compared with those that gdb sees in the same process at the same time.

#![expect(
    clippy::panic,
    clippy::print_stdout,
    reason = "a test prints what it compared and panics to fail"
)]

use std::{
    fs,
    os::unix::{fs::chown, process::CommandExt as _},
    path::PathBuf,
    process::{Command, Stdio},
};

use memtrace_tests::{
    Memtrace, PATIENCE, Program, Report,
    gdb::{Gdb, assert_reported},
    require, require_root, require_tool, requirements, wait_until,
};

/// Runs a command to its end.
fn run(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Observes a process at work, with gdb as a witness. At most one allocation in `of` may reach no start.
fn witnessed(target: u32, of: u64, mut work: impl FnMut()) -> Report {
    // gdb has those frames too by which an interpreter calls itself.
    let memtrace = Memtrace::attach(
        target,
        &["--every-call", "--ring-size", "64MiB", "--interpreter-frames"],
    );
    work();
    let calls = Gdb::attach(target).watch(&mut work);
    work();
    let report = memtrace.finish();
    println!("health.stacks: {}", report.profile["health"]["stacks"]);
    assert!(report.status.success(), "{}", report.stderr);
    assert_reported(&report, &calls);
    report.assert_starts(of);
    report
}

#[test]
fn redis() {
    require_root!();
    require_tool!("gdb");
    require_tool!("redis-server");
    require_tool!("redis-benchmark");
    let directory = tempfile::tempdir().expect("a temporary directory");
    let socket = directory.path().join("redis.sock");
    let mut server = Command::new("redis-server");
    server.args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"]);
    server.arg(&socket).arg("--dir").arg(directory.path());
    let server = Program::spawn(&mut server);
    wait_until(PATIENCE, || socket.exists().then_some(())).expect("redis listens");
    let script = "local t = {} for i = 1, 50 do t[i] = redis.call('SET', 'k' .. i, i) end return #t";
    witnessed(server.pid(), 1000, || {
        let tests = "set,get,lpush,hset,zadd,spop,mset,lrange_100";
        let load = ["-q", "-n", "200", "-c", "10", "-r", "1000", "-d", "300", "-t", tests];
        run(Command::new("redis-benchmark").arg("-s").arg(&socket).args(load));
        let client = |arguments: &[&str]| run(Command::new("redis-cli").arg("-s").arg(&socket).args(arguments));
        client(&["EVAL", script, "0"]);
        client(&["SORT", "mylist", "ALPHA", "LIMIT", "0", "20"]);
        client(&["CONFIG", "GET", "*"]);
    });
}

/// The folder of the server's programs, which Debian keeps off the path: a version of it each.
fn postgres_folder() -> Result<PathBuf, String> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let folders = versions.map(|version| version.path().join("bin"));
    let found = folders.filter(|folder| folder.join("postgres").exists()).max();
    let on_path = || {
        Some(
            requirements::find("postgres")?
                .canonicalize()
                .ok()?
                .parent()?
                .to_owned(),
        )
    };
    found
        .or_else(on_path)
        .ok_or_else(|| "needs postgres, which is not installed".into())
}

/// Id of the user and group `nobody` (`/etc/passwd` of Debian and Fedora): the server refuses to run as root.
const NOBODY: u32 = 65534;

#[test]
fn postgres() {
    require_root!();
    require_tool!("gdb");
    require!(postgres_folder().map(drop));
    let folder = postgres_folder().expect("it was there");
    let directory = tempfile::tempdir().expect("a temporary directory");
    chown(directory.path(), Some(NOBODY), Some(NOBODY)).expect("the folder can be given away");
    let command = |name: &str| {
        let mut command = Command::new(folder.join(name));
        command.uid(NOBODY).gid(NOBODY).current_dir(directory.path());
        command.env("HOME", directory.path()).env("LC_ALL", "C");
        command
    };
    let data = directory.path().join("data");
    run(command("initdb")
        .args(["--no-sync", "--auth=trust", "--username=tester", "-D"])
        .arg(&data));
    let mut server = command("postgres");
    server.arg("-D").arg(&data).arg("-k").arg(directory.path());
    let mut server = Program::spawn(server.args(["-c", "listen_addresses=", "-c", "fsync=off"]));
    let ready = || {
        let mut ask = command("pg_isready");
        let asked = ask.arg("-h").arg(directory.path()).stdout(Stdio::null()).status();
        asked.ok()?.success().then_some(())
    };
    wait_until(PATIENCE, ready).expect("postgres accepts connections");
    let mut client = command("psql");
    client
        .args(["-qAtX", "-U", "tester", "-d", "postgres", "-h"])
        .arg(directory.path());
    let mut client = Program::spawn(&mut client);
    client.send("select 'backend ' || pg_backend_pid();");
    let backend = client.expect("backend ").parse().expect("a process id");
    let mut round = 0;
    witnessed(backend, 1000, || {
        round += 1;
        for query in [
            "drop table if exists t;",
            "create table t as select n, md5(n::text) as s, n % 7 as g from generate_series(1, 3000) n;",
            "create index on t(s); analyze t;",
            "select g, count(*), string_agg(s, ',' order by s) from t group by g having count(*) > 9 limit 0;",
            "select * from t a join t b using (s) where a.n < 50 order by b.n desc limit 0;",
            "do $$ declare r record; begin for r in select * from t limit 20 loop perform upper(r.s); end loop; end $$;",
            "select jsonb_agg(to_jsonb(t)) is null from t where s ~ '^a.*[0-9]{2}f' limit 0;",
            "prepare p as select * from t where n = $1; execute p(-1); deallocate p;",
            "discard all;",
        ] {
            client.send(query);
        }
        client.send(&format!("select 'round {round} is over';"));
        client.expect(&format!("round {round} is over"));
    });
    client.close();
    server.signal(rustix::process::Signal::INT);
    assert!(server.wait().0.success(), "postgres ends well");
}

/// Runs a script of an interpreter, which works once for every line it reads and answers `worked`.
fn interpreted(interpreter: &str, arguments: &[&str], of: u64) {
    let mut program = Program::spawn(Command::new(interpreter).args(arguments));
    program.expect("ready");
    let mut round = 0;
    witnessed(program.pid(), of, || {
        round += 1;
        program.send(&round.to_string());
        program.expect(&format!("worked {round} "));
    });
    let (status, _) = program.end();
    assert!(status.success(), "{interpreter} ended with {status}");
}

#[test]
fn python() {
    require_root!();
    require_tool!("gdb");
    require_tool!("python3");
    let script = r#"
import ctypes, json, re, sys, threading, zlib
print("ready", flush=True)
numbers = ctypes.c_int * 50
compare = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))
def order(left, right):
    kept.append(bytes(600))
    return left[0] - right[0]
def work():
    kept.append([("x" * n, {n: [n] * 200}) for n in range(500, 560)])
    json.loads(json.dumps(kept[-1][:2]))
    re.compile("(a|b)*c{3,%d}" % (len(kept) + 4))
    zlib.compress(bytes(20000))
    sorted(range(2000), key=lambda n: str(n) * 200)
    ctypes.CDLL(None).qsort(numbers(*range(50, 0, -1)), 50, 4, compare(order))
    exec(compile("def f(n):\n  return f(n - 1) + [n] * 100 if n else []\nf(30)", "made", "exec"), {})
for line in sys.stdin:
    kept = []
    work()
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    print("worked", line.strip(), "", flush=True)
"#;
    interpreted("python3", &["-c", script], 1000);
}

/// Generated code has no tables, but frame pointers; a few of its own entry points have neither.
#[test]
fn node() {
    require_root!();
    require_tool!("gdb");
    require_tool!("node");
    let script = r#"
const crypto = require("crypto"), zlib = require("zlib"), readline = require("readline");
console.log("ready");
readline.createInterface({ input: process.stdin }).on("line", (line) => {
  const kept = [];
  for (let n = 0; n < 50; n++) kept.push(Buffer.alloc(20000 + n));
  JSON.parse(JSON.stringify(Array.from({ length: 2000 }, (_, n) => ({ n, s: "s" + n }))));
  new RegExp("(a|b)*c{3," + (4 + line.length) + "}").test("aabbccc");
  new Function("a", "return a.map((x) => x + " + line + ").sort((x, y) => y - x)")(Array.from({ length: 500 }, (_, n) => n));
  crypto.createHash("sha256").update(kept[0]).digest("hex");
  zlib.deflateSync(kept[1]);
  zlib.deflate(kept[2], () => {
    crypto.pbkdf2("secret", "salt", 20, 32, "sha256", () => console.log("worked " + line + " "));
  });
});
"#;
    interpreted("node", &["-e", script], 100);
}
