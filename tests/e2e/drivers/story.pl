# A session of DBD::Pg: prints what it sees. ../test_drivers.py compares that with a direct connection.
use strict;
use warnings;
use utf8;
use DBI;

binmode STDOUT, ':utf8';
my ($table) = @ARGV;

sub connected { return DBI->connect('dbi:Pg:', undef, undef, { RaiseError => 1, PrintError => 0, AutoCommit => 1 }) }
sub value { my ($db, $sql, @bound) = @_; return ($db->selectrow_array($sql, undef, @bound))[0] }
sub tell_it { my ($what, $seen) = @_; print "$what: $seen\n" }

sub failing {
    my ($db, $sql) = @_;
    eval { tell_it('no error', value($db, $sql)) };
    tell_it('error', $db->state) if $@;
}

sub insert {
    my ($db, $from, $to) = @_;
    my $statement = $db->prepare("INSERT INTO $table VALUES (?, ?)");
    $statement->execute($_, "žlutý $_") for $from .. $to;
}

sub prepared {
    my ($db) = @_;
    my $twice = $db->prepare('SELECT ?::int * 2');
    my $all = '';
    for my $number (0 .. 19) {
        $twice->execute($number);
        $all = value($db, 'SELECT ?::text || ?::text', $all, ($twice->fetchrow_array)[0]);
    }
    tell_it('prepared', $all);
}

sub transactions {
    my ($db) = @_;
    my $count = "SELECT count(*) FROM $table";
    $db->begin_work;
    insert($db, 1, 10);
    $db->commit;
    tell_it('committed', value($db, $count));
    $db->begin_work;
    insert($db, 11, 20);
    $db->rollback;
    tell_it('rolled back', value($db, $count));
    $db->begin_work;
    insert($db, 21, 22);
    failing($db, 'SELECT 1/0');
    failing($db, 'SELECT 1');
    $db->rollback;
    $db->begin_work;
    prepared($db);
    insert($db, 31, 31);
    $db->pg_savepoint('here');
    failing($db, 'SELECT * FROM nowhere');
    $db->pg_rollback_to('here');
    insert($db, 32, 40);
    $db->commit;
    tell_it('savepoint', value($db, $count));
}

sub copied {
    my ($db) = @_;
    $db->do("COPY $table FROM STDIN");
    $db->pg_putcopydata("101\tone\n102\t\\N\n");
    $db->pg_putcopyend;
    $db->do("COPY (SELECT * FROM $table WHERE id > 100 ORDER BY id) TO STDOUT");
    my ($row, @rows);
    push @rows, $row while $db->pg_getcopydata($row) >= 0;
    tell_it('copied out', join('|', map { s/\n//r } @rows));
    $db->do("COPY $table FROM STDIN");
    $db->pg_putcopydata("no number\n");
    eval { $db->pg_putcopyend };
    tell_it('copy failed', $db->state);
}

my $db = connected();
$db->do("SET work_mem = '7MB'");
$db->do("CREATE TABLE $table (id int PRIMARY KEY, name text)");
prepared($db);
transactions($db);
copied($db);
my $sum = 0;
$sum += value($db, "SELECT ?::int + $_", $_) for 1 .. 300;
tell_it('many statements', $sum);
failing($db, 'SELECT 1/0');
tell_it('setting', value($db, 'SHOW work_mem'));
$db->disconnect;

$db = connected();
prepared($db);
tell_it('setting', value($db, 'SHOW work_mem'));
tell_it('in the end', value($db, "SELECT count(*) FROM $table"));
$db->do("DROP TABLE $table");
$db->disconnect;
