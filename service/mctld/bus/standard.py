# SPDX-License-Identifier: GPL-3.0-or-later
"""The standard interfaces, as the D-Bus specification declares them, with actions of ours.

org.mctl1.member: the action of the property or the interface that the call names.
"""

from __future__ import annotations

PEER = "org.freedesktop.DBus.Peer"
INTROSPECTABLE = "org.freedesktop.DBus.Introspectable"
PROPERTIES = "org.freedesktop.DBus.Properties"
OBJECT_MANAGER = "org.freedesktop.DBus.ObjectManager"

LOG_CONTROL = "org.freedesktop.LogControl1"

MEMBER = "org.mctl1.member"

STANDARD = """\
<node>
  <interface name="org.freedesktop.DBus.Peer">
    <method name="Ping">
      <annotation name="org.mctl1.Action" value="public"/>
    </method>
    <method name="GetMachineId">
      <annotation name="org.mctl1.Action" value="public"/>
      <arg name="machine_uuid" type="s" direction="out"/>
    </method>
  </interface>
  <interface name="org.freedesktop.DBus.Introspectable">
    <method name="Introspect">
      <annotation name="org.mctl1.Action" value="org.mctl1.member"/>
      <arg name="xml_data" type="s" direction="out"/>
    </method>
  </interface>
  <interface name="org.freedesktop.DBus.Properties">
    <method name="Get">
      <annotation name="org.mctl1.Action" value="org.mctl1.member"/>
      <arg name="interface_name" type="s" direction="in"/>
      <arg name="property_name" type="s" direction="in"/>
      <arg name="value" type="v" direction="out"/>
    </method>
    <method name="Set">
      <annotation name="org.mctl1.Action" value="org.mctl1.member"/>
      <arg name="interface_name" type="s" direction="in"/>
      <arg name="property_name" type="s" direction="in"/>
      <arg name="value" type="v" direction="in"/>
    </method>
    <method name="GetAll">
      <annotation name="org.mctl1.Action" value="org.mctl1.member"/>
      <arg name="interface_name" type="s" direction="in"/>
      <arg name="properties" type="a{sv}" direction="out"/>
    </method>
    <signal name="PropertiesChanged">
      <arg name="interface_name" type="s"/>
      <arg name="changed_properties" type="a{sv}"/>
      <arg name="invalidated_properties" type="as"/>
    </signal>
  </interface>
  <interface name="org.freedesktop.DBus.ObjectManager">
    <method name="GetManagedObjects">
      <annotation name="org.mctl1.Action" value="org.mctl1.list"/>
      <arg name="objects" type="a{oa{sa{sv}}}" direction="out"/>
    </method>
    <signal name="InterfacesAdded">
      <arg name="object" type="o"/>
      <arg name="interfaces" type="a{sa{sv}}"/>
    </signal>
    <signal name="InterfacesRemoved">
      <arg name="object" type="o"/>
      <arg name="interfaces" type="as"/>
    </signal>
  </interface>
  <interface name="org.freedesktop.LogControl1">
    <property name="LogLevel" type="s" access="readwrite">
      <annotation name="org.mctl1.Action" value="public"/>
      <annotation name="org.mctl1.SetAction" value="org.mctl1.daemon-admin"/>
      <annotation name="org.freedesktop.DBus.Property.EmitsChangedSignal" value="false"/>
    </property>
    <property name="LogTarget" type="s" access="readwrite">
      <annotation name="org.mctl1.Action" value="public"/>
      <annotation name="org.mctl1.SetAction" value="org.mctl1.daemon-admin"/>
      <annotation name="org.freedesktop.DBus.Property.EmitsChangedSignal" value="false"/>
    </property>
    <property name="SyslogIdentifier" type="s" access="read">
      <annotation name="org.mctl1.Action" value="public"/>
      <annotation name="org.freedesktop.DBus.Property.EmitsChangedSignal" value="const"/>
    </property>
  </interface>
</node>
"""
