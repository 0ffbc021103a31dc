// A session of JDBC: prints what it sees. ../test_drivers.py compares that with a direct connection.
import java.io.StringReader;
import java.io.StringWriter;
import java.sql.*;
import java.util.Properties;
import org.postgresql.PGConnection;

class Story {
  static Connection connect() throws SQLException {
    var env = System.getenv();
    var options = new Properties();
    options.put("user", env.get("PGUSER"));
    options.put("password", env.get("PGPASSWORD"));
    options.put("sslmode", env.get("PGSSLMODE"));
    return DriverManager.getConnection(
        "jdbc:postgresql://%s:%s/%s".formatted(env.get("PGHOST"), env.get("PGPORT"), env.get("PGDATABASE")),
        options);
  }

  static String first(ResultSet rows) throws SQLException {
    return rows.next() ? rows.getString(1) : "nothing";
  }

  static String value(Connection db, String sql) throws SQLException {
    try (var statement = db.createStatement()) {
      return first(statement.executeQuery(sql));
    }
  }

  static void tell(String what, Object seen) {
    System.out.println(what + ": " + seen);
  }

  static void insert(Connection db, String table, int from, int to) throws SQLException {
    try (var statement = db.prepareStatement("INSERT INTO " + table + " VALUES (?, ?)")) {
      for (int id = from; id <= to; ++id) {
        statement.setInt(1, id);
        statement.setString(2, "žlutý " + id);
        statement.executeUpdate();
      }
    }
  }

  static void prepared(Connection db) throws SQLException {
    try (var twice = db.prepareStatement("SELECT ?::int * 2"); var joined = db.prepareStatement("SELECT ? || ?")) {
      String all = "";
      for (int i = 0; i < 20; ++i) {  // from the fifth time on it has a name on the server
        twice.setInt(1, i);
        joined.setString(1, all);
        joined.setString(2, first(twice.executeQuery()));
        all = first(joined.executeQuery());
      }
      tell("prepared", all);
    }
  }

  static void error(Connection db, String sql) {
    try {
      tell("no error", value(db, sql));
    } catch (SQLException error) {
      tell("error", error.getSQLState());
    }
  }

  static void transactions(Connection db, String table) throws SQLException {
    String count = "SELECT count(*) FROM " + table;
    db.setAutoCommit(false);
    insert(db, table, 1, 10);
    db.commit();
    tell("committed", value(db, count));
    insert(db, table, 11, 20);
    db.rollback();
    tell("rolled back", value(db, count));
    insert(db, table, 21, 22);
    error(db, "SELECT 1/0");
    error(db, "SELECT 1");
    db.rollback();
    prepared(db);
    insert(db, table, 31, 31);
    Savepoint savepoint = db.setSavepoint("here");
    error(db, "SELECT * FROM nowhere");
    db.rollback(savepoint);
    insert(db, table, 32, 40);
    db.commit();
    tell("savepoint", value(db, count));
    try (var cursor = db.prepareStatement("SELECT id FROM " + table + " ORDER BY id")) {
      cursor.setFetchSize(4);
      int sum = 0;
      for (var rows = cursor.executeQuery(); rows.next();) sum += rows.getInt(1);
      tell("fetched in parts", sum);
    }
    db.commit();
    db.setAutoCommit(true);
  }

  static void batch(Connection db, String table) throws SQLException {
    try (var statement = db.prepareStatement("UPDATE " + table + " SET name = ? WHERE id = ?")) {
      for (int id = 1; id <= 50; ++id) {
        statement.setString(1, null);
        statement.setInt(2, id);
        statement.addBatch();
      }
      int changed = 0;
      for (int rows : statement.executeBatch()) changed += rows;
      tell("batch", changed);
    }
  }

  static void copy(Connection db, String table) throws Exception {
    var copier = db.unwrap(PGConnection.class).getCopyAPI();
    tell("copied in", copier.copyIn("COPY " + table + " FROM STDIN", new StringReader("101\tone\n102\t\\N\n")));
    var out = new StringWriter();
    copier.copyOut("COPY (SELECT * FROM " + table + " WHERE id > 100 ORDER BY id) TO STDOUT", out);
    tell("copied out", out.toString().replace("\n", "|"));
    try {
      copier.copyIn("COPY " + table + " FROM STDIN", new StringReader("no number\n"));
    } catch (SQLException error) {
      tell("copy failed", error.getSQLState());
    }
  }

  static void manyStatements(Connection db) throws SQLException {
    int sum = 0;
    for (int i = 0; i < 300; ++i) {  // more than JDBC and Headgate keep
      try (var statement = db.prepareStatement("SELECT ?::int + " + i)) {
        for (int use = 0; use < 6; ++use) {
          statement.setInt(1, use);
          sum += Integer.parseInt(first(statement.executeQuery()));
        }
      }
    }
    tell("many statements", sum);
  }

  public static void main(String[] arguments) throws Exception {
    String table = arguments[0];
    try (var db = connect()) {
      db.createStatement().execute("SET work_mem = '7MB'");
      db.createStatement().execute("CREATE TABLE " + table + " (id int PRIMARY KEY, name text)");
      prepared(db);
      transactions(db, table);
      batch(db, table);
      copy(db, table);
      manyStatements(db);
      error(db, "SELECT 1/0");
      tell("setting", value(db, "SHOW work_mem"));
    }
    try (var db = connect()) {
      prepared(db);
      tell("setting", value(db, "SHOW work_mem"));
      tell("in the end", value(db, "SELECT count(*) FROM " + table));
      db.createStatement().execute("DROP TABLE " + table);
    }
  }
}
