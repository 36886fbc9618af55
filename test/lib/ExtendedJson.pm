# ExtendedJson.pm: values of BSON as canonical Extended JSON, for tests that make random documents.
package ExtendedJson;

use strict;
use warnings;

use Exporter qw(import);

our @EXPORT = qw(pick int32 int64 double decimal oid date uuid string);

# One of the arguments, at random.
sub pick { return $_[ int(rand(@_)) ]; }

sub int32 { return qq({"\$numberInt": "$_[0]"}); }
sub int64 { return qq({"\$numberLong": "$_[0]"}); }
sub double { return qq({"\$numberDouble": "$_[0]"}); }
sub decimal { return qq({"\$numberDecimal": "$_[0]"}); }
sub oid { return qq({"\$oid": "$_[0]"}); }
sub date { return qq({"\$date": {"\$numberLong": "$_[0]"}}); }
sub uuid { return qq({"\$binary": {"base64": "$_[0]", "subType": "$_[1]"}}); }

# A string without quotes, and with no other backslashes than those of JSON.
sub string { return '"' . ($_[0] =~ s/\n/\\n/gr) . '"'; }

1;
