# An SMTP server on the library Net::Server::Mail, with mailboxes.
# Arguments: the port, the folder of the mailboxes, the domain.
use strict;
use warnings;
use File::Path qw(make_path);
use IO::Socket::INET;
use Net::Server::Mail::ESMTP;

my ($port, $mail, $domain) = @ARGV;
my %known = map { $_ => 1 } qw(alice bob carol);
my $count = 0;
$SIG{CHLD} = 'IGNORE';
$| = 1;

sub name { $_[0] =~ /^<?([^@<>]+)\@\Q$domain\E>?$/i ? lc $1 : '' }

sub recipient {
    my ($session, $address) = @_;
    my $name = name($address);
    print "RCPT $address\n";
    return (0, 450, '4.2.1 mailbox busy, try later') if $name eq 'later';
    return (0, 550, '5.1.1 no such mailbox') unless $known{$name};
    return 1;
}

sub content {
    my ($session, $data) = @_;
    my $file = sprintf '%d.%06d.perl', $$, ++$count;
    print 'DATA ', length $$data, " octets, $file\n";
    for my $name (map { name($_) } $session->get_recipients) {
        make_path("$mail/$name/tmp", "$mail/$name/new");
        open my $out, '>:raw', "$mail/$name/tmp/$file" or return (0, 451, "4.3.0 $!");
        print $out $$data;
        close $out or return (0, 451, "4.3.0 $!");
        rename "$mail/$name/tmp/$file", "$mail/$name/new/$file";
    }
    return (1, 250, '2.0.0 stored');
}

my $listener = IO::Socket::INET->new(
    LocalAddr => '127.0.0.1', LocalPort => $port, Listen => 64, ReuseAddr => 1,
) or die "port $port: $!";
while (1) {
    my $socket = $listener->accept or next;
    if (!fork) {
        close $listener;
        my $session = Net::Server::Mail::ESMTP->new(socket => $socket);
        $session->register("Net::Server::Mail::ESMTP::$_") for qw(8BITMIME PIPELINING);
        $session->set_callback(RCPT => \&recipient);
        $session->set_callback(DATA => \&content);
        $session->process;
        exit;
    }
    close $socket;
}
