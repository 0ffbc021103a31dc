# A session of ruby-pg, prepared as Rails does it: prints what it sees. ../test_drivers.py compares that with a
# direct connection.
require "pg"

TABLE = ARGV[0]

# Names for texts, and DEALLOCATE for the oldest when there are too many.
class Statements
  MOST = 100

  def initialize(db)
    @db = db
    @names = {}
    @made = 0
  end

  def value(sql, *bound)
    unless @names.key?(sql)
      forget(@names.keys.first) if @names.size >= MOST
      name = "a#{@made += 1}"
      @db.prepare(name, sql)
      @names[sql] = name
    end
    rows = @db.exec_prepared(@names[sql], bound)
    rows.ntuples.positive? ? rows.getvalue(0, 0) : "nothing"
  end

  def forget(sql)
    @db.exec("DEALLOCATE #{@names.delete(sql)}")
  end
end

def tell(what, seen)
  puts "#{what}: #{seen}"
end

def failing(db, sql)
  tell("no error", db.exec(sql).getvalue(0, 0))
rescue PG::Error => error
  tell("error", error.result.error_field(PG::PG_DIAG_SQLSTATE))
end

def insert(statements, ids)
  ids.each { |id| statements.value("INSERT INTO #{TABLE} VALUES ($1, $2)", id, "žlutý #{id}") }
end

def prepared(statements)
  all = (0...20).inject("") do |text, number|
    statements.value("SELECT $1::text || $2::text", text, statements.value("SELECT $1::int * 2", number))
  end
  tell("prepared", all)
end

def transactions(db, statements)
  count = "SELECT count(*) FROM #{TABLE}"
  db.transaction { insert(statements, 1..10) }
  tell("committed", statements.value(count))
  db.exec("BEGIN")
  insert(statements, 11..20)
  db.exec("ROLLBACK")
  tell("rolled back", statements.value(count))
  db.exec("BEGIN")
  insert(statements, 21..22)
  failing(db, "SELECT 1/0")
  failing(db, "SELECT 1")
  db.exec("ROLLBACK")
  db.exec("BEGIN")
  prepared(statements)
  insert(statements, 31..31)
  db.exec("SAVEPOINT here")
  failing(db, "SELECT * FROM nowhere")
  db.exec("ROLLBACK TO here")
  insert(statements, 32..40)
  db.exec("COMMIT")
  tell("savepoint", statements.value(count))
end

def copied(db)
  db.copy_data("COPY #{TABLE} FROM STDIN") { db.put_copy_data("101\tone\n102\t\\N\n") }
  rows = []
  db.copy_data("COPY (SELECT * FROM #{TABLE} WHERE id > 100 ORDER BY id) TO STDOUT") do
    while (row = db.get_copy_data) do rows << row.chomp end
  end
  tell("copied out", rows.join("|"))
  db.copy_data("COPY #{TABLE} FROM STDIN") { db.put_copy_data("no number\n") }
rescue PG::Error => error
  tell("copy failed", error.result.error_field(PG::PG_DIAG_SQLSTATE))
end

db = PG.connect
statements = Statements.new(db)
db.exec("SET work_mem = '7MB'")
db.exec("CREATE TABLE #{TABLE} (id int PRIMARY KEY, name text)")
prepared(statements)
transactions(db, statements)
copied(db)
tell("many statements", (1..300).sum { |number| statements.value("SELECT $1::int + #{number}", number).to_i })
db.transaction do
  (1..150).each { |number| statements.value("SELECT $1::int - #{number}", number) }
end
failing(db, "SELECT 1/0")
tell("setting", statements.value("SHOW work_mem"))
db.close

db = PG.connect
statements = Statements.new(db)
prepared(statements)
tell("setting", statements.value("SHOW work_mem"))
tell("in the end", statements.value("SELECT count(*) FROM #{TABLE}"))
db.exec("DROP TABLE #{TABLE}")
db.close
