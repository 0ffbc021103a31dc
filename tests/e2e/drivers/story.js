// A session of node-postgres, with named statements and without: prints what it sees. ../test_drivers.py compares that
// with a direct connection.
const { Client, Pool } = require("pg");

const table = process.argv[2];
const ssl = process.env.PGSSLMODE === "require" ? { rejectUnauthorized: false } : false;
const tell = (what, seen) => console.log(`${what}: ${seen}`);

const connect = async () => {
  const db = new Client({ ssl });
  await db.connect();
  return db;
};

// node-postgres never takes back what it has prepared under a name.
const names = new Map();
const value = async (db, sql, ...bound) => {
  if (!names.has(sql)) names.set(sql, `n${names.size}`);
  const { rows } = await db.query({ name: names.get(sql), text: sql, values: bound, rowMode: "array" });
  return rows.length > 0 ? rows[0][0] : "nothing";
};

const failing = async (db, sql) => {
  try {
    await db.query(sql);
    tell("no error", sql);
  } catch (error) {
    tell("error", error.code);
  }
};

const insert = async (db, from, to) => {
  for (let id = from; id <= to; ++id) await value(db, `INSERT INTO ${table} VALUES ($1, $2)`, id, `žlutý ${id}`);
};

const prepared = async (db) => {
  let all = "";
  for (let n = 0; n < 20; ++n) {
    all = await value(db, "SELECT $1::text || $2::text", all, await value(db, "SELECT $1::int * 2", n));
  }
  tell("prepared", all);
};

const unnamed = async (db) => {
  const { rows } = await db.query("SELECT $1::int + $2::int AS sum, $3::json AS json", [1, 2, { a: [1] }]);
  tell("unnamed", JSON.stringify(rows));
  const results = await db.query("SELECT 1 AS a; SELECT 2 AS b");
  tell("two in one text", JSON.stringify(results.map((result) => result.rows)));
};

const transactions = async (db) => {
  const count = `SELECT count(*) FROM ${table}`;
  await db.query("BEGIN");
  await insert(db, 1, 10);
  await db.query("COMMIT");
  tell("committed", await value(db, count));
  await db.query("BEGIN");
  await insert(db, 11, 20);
  await db.query("ROLLBACK");
  tell("rolled back", await value(db, count));
  await db.query("BEGIN");
  await insert(db, 21, 22);
  await failing(db, "SELECT 1/0");
  await failing(db, "SELECT 1");
  await db.query("ROLLBACK");
  await db.query("BEGIN");
  await prepared(db);
  await insert(db, 31, 31);
  await db.query("SAVEPOINT here");
  await failing(db, "SELECT * FROM nowhere");
  await db.query("ROLLBACK TO here");
  await insert(db, 32, 40);
  await db.query("COMMIT");
  tell("savepoint", await value(db, count));
};

const notified = async (db, other) => {
  const heard = new Promise((resolve) => db.once("notification", resolve));
  await db.query(`LISTEN ${table}`);
  await other.query("SELECT pg_notify($1, $2)", [table, "čau"]);
  const { channel, payload } = await heard;
  tell("heard", `${channel === table} ${payload}`);
  await db.query(`UNLISTEN ${table}`);
};

const pooled = async () => {
  const pool = new Pool({ ssl, max: 3 });
  const sums = await Promise.all(
    Array.from({ length: 30 }, (_, n) =>
      pool.query({ name: "sum", text: "SELECT $1::int + 1 AS sum", values: [n] }).then(({ rows }) => rows[0].sum)));
  tell("pooled", sums.join(" "));
  await pool.end();
};

const main = async () => {
  const db = await connect();
  const other = await connect();
  await db.query("SET work_mem = '7MB'");
  await db.query(`CREATE TABLE ${table} (id int PRIMARY KEY, name text)`);
  await prepared(db);
  await unnamed(db);
  await transactions(db);
  await notified(db, other);
  await pooled();
  let sum = 0;
  for (let n = 1; n <= 300; ++n) sum += await value(db, `SELECT $1::int + ${n}`, n);
  tell("many statements", sum);
  tell("setting", `${await value(db, "SHOW work_mem")} ${(await other.query("SHOW work_mem")).rows[0].work_mem}`);
  tell("name", (await value(db, `SELECT name FROM ${table} WHERE id = $1`, 40)));
  tell("in the end", await value(db, `SELECT count(*) FROM ${table}`));
  await db.query(`DROP TABLE ${table}`);
  await db.end();
  await other.end();
};

main().catch((error) => {
  console.log(error);
  process.exit(1);
});
